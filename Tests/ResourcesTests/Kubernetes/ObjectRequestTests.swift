import Testing
import Transport

@testable import Resources

@Suite struct ObjectRequestTests {
    @Test func anObjectIsReadFromItsPath() async throws {
        try await FakeCluster.serve { _, _ in .json(configMap("a")) } _: { client, cluster in
            let object = try await client.get(.configMaps, "a")
            #expect(object?.name == "a" && object?.namespace == "home" && object?.resourceVersion == "1")
            _ = try await client.get(.karsSandboxes, "b", namespace: "kars-system")
            _ = try await client.get(.namespaces, "c", namespace: "unused")
            #expect(
                cluster.lines == [
                    "GET /api/v1/namespaces/home/configmaps/a",
                    "GET /apis/kars.azure.com/v1alpha1/namespaces/kars-system/karssandboxes/b", "GET /api/v1/namespaces/c",
                ])
            #expect(cluster.asked[0].headers["authorization"] == "Bearer t")
        }
    }

    @Test func anAbsentObjectIsNilAndItsDeletionFine() async throws {
        try await FakeCluster.serve { _, _ in .refusal(404, "NotFound") } _: { client, _ in
            let found = try await client.get(.pods, "a")
            let deleted = try await client.delete(.pods, "a")
            #expect(found == nil && !deleted)
        }
    }

    @Test(arguments: ["", ".", "..", "a/b", "a%2fb", "a b", String(repeating: "x", count: 300)])
    func namesThatCannotStandInAPathAreRefused(name: String) async throws {
        try await FakeCluster.serve { _, _ in .json(configMap("a")) } _: { client, cluster in
            for call in [
                { try await client.get(.pods, name) }, { try await client.get(.pods, "a", namespace: name) },
            ] as [@Sendable () async throws -> KubernetesObject?] {
                #expect(await failure { _ = try await call() }?.case == .invalidRequest)
            }
            #expect(cluster.asked.isEmpty)
        }
    }

    @Test func otherCharactersOfANameAreEscaped() async throws {
        try await FakeCluster.serve { _, _ in .json(configMap("a")) } _: { client, cluster in
            _ = try await client.get(.roles, "system:a?b#c")
            #expect(cluster.lines == ["GET /apis/rbac.authorization.k8s.io/v1/namespaces/home/roles/system:a%3Fb%23c"])
        }
    }

    @Test func writesCarryWhatTheAPIWants() async throws {
        try await FakeCluster.serve { request, _ in .bytes(request.body.isEmpty ? [0x7B, 0x7D] : request.body) } _: {
            client, cluster in
            var object = KubernetesObject(.configMaps, name: "a", labels: ["x": "y"])
            object["data", "k"] = "v"
            let made = try await client.create(.configMaps, object, fieldManager: "kars-cli", isDryRun: true)
            #expect(made.namespace == "home" && made["data", "k"] == "v")
            try await client.replace(.configMaps, object)
            try await client.apply(.configMaps, object, fieldManager: "kars-cli/x", force: false)
            try await client.applyStatus(.karsSandboxes, object, fieldManager: "c")
            try await client.patch(.configMaps, "a", ["data": ["k": nil]])
            try await client.patchStatus(.karsSandboxes, "a", namespace: "n", ["phase": "Ready"])
            try await client.delete(.configMaps, "a", propagation: .foreground, uid: "u", resourceVersion: "7")
            #expect(
                cluster.lines == [
                    "POST /api/v1/namespaces/home/configmaps?fieldManager=kars-cli&dryRun=All",
                    "PUT /api/v1/namespaces/home/configmaps/a",
                    "PATCH /api/v1/namespaces/home/configmaps/a?fieldManager=kars-cli/x&force=false",
                    "PATCH /apis/kars.azure.com/v1alpha1/namespaces/home/karssandboxes/a/status?fieldManager=c&force=true",
                    "PATCH /api/v1/namespaces/home/configmaps/a",
                    "PATCH /apis/kars.azure.com/v1alpha1/namespaces/n/karssandboxes/a/status",
                    "DELETE /api/v1/namespaces/home/configmaps/a",
                ])
            #expect(
                cluster.asked.map { $0.headers["content-type"] } == [
                    "application/json", "application/json", "application/apply-patch+yaml", "application/apply-patch+yaml",
                    "application/merge-patch+json", "application/merge-patch+json", "application/json",
                ])
            let patches = try cluster.asked[4...5].map { try JSONValue(decoding: $0.body) }
            #expect(patches == [["data": ["k": nil]], ["status": ["phase": "Ready"]]])
            let options = try JSONValue(decoding: cluster.asked[6].body)
            #expect(options["propagationPolicy"] == "Foreground")
            #expect(options["preconditions"] == ["uid": "u", "resourceVersion": "7"])
        }
    }

    @Test func pagesBecomeOneList() async throws {
        let handler: FakeCluster.Handler = { request, _ in
            request.queryValue("continue") == nil
                ? .json(list(["a", "b"], version: "5", next: "more/+=")) : .json(list(["c"], version: "5"))
        }
        try await FakeCluster.serve(handler) { client, cluster in
            let list = try await client.list(.configMaps, labelSelector: "a=b,c!=d", fieldSelector: "x=y", pageSize: 2)
            #expect(list.items.map(\.name) == ["a", "b", "c"] && list.resourceVersion == "5")
            #expect(cluster.asked.map { $0.queryValue("continue") } == [nil, "more/+="])
            #expect(cluster.asked.allSatisfy { $0.queryValue("labelSelector") == "a=b,c!=d" })
            #expect(cluster.asked[1].queryValue("fieldSelector") == "x=y" && cluster.asked[1].queryValue("limit") == "2")
            #expect(cluster.asked[0].path == "/api/v1/configmaps")
        }
    }

    @Test func aListWhosePagesExpireBeginsAnew() async throws {
        let handler: FakeCluster.Handler = { _, number in
            switch number {
            case 0: .json(list(["a"], version: "5", next: "m"))
            case 1: .refusal(410, "Expired")
            case 2: .json(list(["a"], version: "9", next: "n"))
            default: .json(list(["b"], version: "9"))
            }
        }
        try await FakeCluster.serve(handler) { client, _ in
            let list = try await client.list(.configMaps)
            #expect(list.items.map(\.name) == ["a", "b"])
            #expect(list.resourceVersion == "9")
        }
    }

    @Test func whatAListHoldsSaysWhatItIs() async throws {
        let page: JSONValue = ["metadata": ["resourceVersion": "1"], "items": [["metadata": ["name": "x"]]]]
        try await FakeCluster.serve { _, _ in .json(page) } _: { client, _ in
            let item = try #require(try await client.list(.deployments).items.first)
            #expect(item.kind == "Deployment" && item.apiVersion == "apps/v1")
        }
    }

    @Test func anotherServerIsToldFromACluster() async throws {
        try await FakeCluster.serve { _, _ in .text("<html>", contentType: "text/html") } _: { client, _ in
            let error = await failure { _ = try await client.list(.pods) }
            #expect(error?.case == .unusableAnswer)
        }
    }
}
