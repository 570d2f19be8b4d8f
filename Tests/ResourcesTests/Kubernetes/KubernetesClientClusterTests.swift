import Foundation
import TestSupport
import Testing
import Transport

@testable import Resources

/// The real cluster that the environment names.
enum RealCluster {
    static let kubeconfig = ProcessInfo.processInfo.environment["KARS_TEST_KUBECONFIG"]
    /// An image with a shell that its node has.
    static let image = ProcessInfo.processInfo.environment["KARS_TEST_IMAGE"] ?? "kars-test/busybox:1"

    /// Says aloud that tests are skipped.
    static let isThere: Bool = {
        if kubeconfig == nil { print("SKIPPED: KARS_TEST_KUBECONFIG names no cluster") }
        return kubeconfig != nil
    }()
}

/// Against a real API server, which `KARS_TEST_KUBECONFIG` names.
@Suite(.enabled(if: RealCluster.isThere)) struct KubernetesClientClusterTests {
    /// A client and a namespace of its own, deleted at the end.
    private func withNamespace(
        _ body: (_ client: KubernetesClient, _ namespace: String) async throws -> Void
    ) async throws {
        var configuration = try KubernetesConfiguration.load(file: RealCluster.kubeconfig)
        let namespace = "kars-test-\(UInt32.random(in: 0 ... .max))"
        configuration.namespace = namespace
        let loop = try EventLoop(name: "cluster")
        defer { loop.shutdown() }
        let client = KubernetesClient(configuration: configuration, loop: loop)
        try await client.create(.namespaces, KubernetesObject(.namespaces, name: namespace))
        do {
            try await body(client, namespace)
        } catch {
            _ = try? await client.delete(.namespaces, namespace)
            throw error
        }
        try await client.delete(.namespaces, namespace)
    }

    @Test func objectsAreMadeChangedAndDeleted() async throws {
        try await withNamespace { client, namespace in
            let version = try await client.version()
            #expect(version.hasPrefix("v"))
            var map = KubernetesObject(.configMaps, name: "a", labels: ["app": "x"])
            map["data", "k"] = "1"
            let made = try await client.create(.configMaps, map)
            #expect(made.namespace == namespace && made.uid != nil)
            let again = await failure { try await client.create(.configMaps, map) }
            #expect(again?.case == .alreadyExists)

            let patched = try await client.patch(.configMaps, "a", ["data": ["k": nil, "l": "2"]])
            #expect(patched["data"] == ["l": "2"])
            // What was read before the patch is old now.
            let late = await failure { try await client.replace(.configMaps, made) }
            #expect(late?.case == .conflict)
            let replaced = try await client.replace(.configMaps, patched)
            #expect(replaced["data"] == ["l": "2"])

            var applied = KubernetesObject(.configMaps, name: "a")
            applied["data", "m"] = "3"
            let one = try await client.apply(.configMaps, applied, fieldManager: "one")
            #expect(one["data"] == ["l": "2", "m": "3"])
            applied["data", "m"] = "4"
            let contested = await failure {
                try await client.apply(.configMaps, applied, fieldManager: "two", force: false)
            }
            #expect(contested?.case == .conflict)
            let two = try await client.apply(.configMaps, applied, fieldManager: "two")
            #expect(two["data", "m"] == "4")

            let foreign = await failure { try await client.delete(.configMaps, "a", uid: "11111111-1111-1111-1111-111111111111") }
            #expect(foreign?.case == .conflict)
            let wasThere = try await client.delete(.configMaps, "a", uid: made.uid)
            let isThere = try await client.delete(.configMaps, "a")
            let gone = try await client.get(.configMaps, "a")
            #expect(wasThere && !isThere && gone == nil)
        }
    }

    @Test func whatTheServerRefusesIsTold() async throws {
        try await withNamespace { client, _ in
            var map = KubernetesObject(.configMaps, name: "Not_A_Name")
            map["data", "k"] = "1"
            let invalid = await failure { try await client.create(.configMaps, map) }
            #expect(invalid?.case == .invalid && invalid?.refusal?.reason == "Invalid")
            let nothing = KubernetesResource(group: "none.example", version: "v1", plural: "nothings", kind: "Nothing")
            let unknown = await failure { _ = try await client.list(nothing) }
            #expect(unknown?.case == .notFound)
            let dry = try await client.create(.configMaps, KubernetesObject(.configMaps, name: "dry"), isDryRun: true)
            let kept = try await client.get(.configMaps, "dry")
            #expect(dry.name == "dry" && kept == nil)
        }
    }

    @Test func strangersAreTurnedAway() async throws {
        var configuration = try KubernetesConfiguration.load(file: RealCluster.kubeconfig)
        var tls = configuration.tls
        tls.identity = nil
        configuration = KubernetesConfiguration(server: configuration.server, tls: tls, token: "no-such-token")
        let loop = try EventLoop(name: "stranger")
        defer { loop.shutdown() }
        let stranger = KubernetesClient(configuration: configuration, loop: loop)
        let error = await failure { _ = try await stranger.list(.secrets) }
        #expect(error?.case == .unauthorized)
        #expect(error?.description.contains("no-such-token") == false)

        let nobody = KubernetesClient(
            configuration: KubernetesConfiguration(server: configuration.server), loop: loop)
        let untrusted = await failure { _ = try await nobody.list(.secrets) }
        #expect(untrusted?.case == .untrusted)
    }

    @Test func pagesSelectorsAndWatchesAgree() async throws {
        try await withNamespace { client, namespace in
            for number in 0..<7 {
                try await client.create(
                    .configMaps,
                    KubernetesObject(.configMaps, name: "m\(number)", labels: ["parity": number % 2 == 0 ? "even" : "odd"]))
            }
            let list = try await client.list(.configMaps, namespace: namespace, labelSelector: "parity", pageSize: 2)
            #expect(list.items.map(\.name).sorted() == (0..<7).map { "m\($0)" })
            let even = try await client.list(.configMaps, namespace: namespace, labelSelector: "parity=even")
            #expect(even.items.count == 4 && even.items.allSatisfy { $0.kind == "ConfigMap" })

            try await client.patch(.configMaps, "m0", ["data": ["k": "v"]])
            try await client.delete(.configMaps, "m2")
            var told: [String] = []
            let watch = try client.watch(
                .configMaps, namespace: namespace, labelSelector: "parity=even", from: list.resourceVersion)
            for try await event in watch {
                switch event {
                case .added(let object): told.append("added \(object.name)")
                case .modified(let object): told.append("modified \(object.name)")
                case .deleted(let object): told.append("deleted \(object.name)")
                case .bookmark: continue
                }
                if told.count == 2 { break }
            }
            #expect(told == ["modified m0", "deleted m2"])
        }
    }

    @Test func followingSeesEveryChange() async throws {
        try await withNamespace { client, namespace in
            try await client.create(.configMaps, KubernetesObject(.configMaps, name: "first", labels: ["x": "y"]))
            var told: [String] = []
            for try await change in client.follow(.configMaps, namespace: namespace, labelSelector: "x") {
                switch change {
                case .synced(let objects):
                    told.append("synced \(objects.map(\.name))")
                    try await client.create(.configMaps, KubernetesObject(.configMaps, name: "second", labels: ["x": "y"]))
                case .changed(let object):
                    told.append("changed \(object.name)")
                    try await client.delete(.configMaps, object.name)
                case .removed(let object): told.append("removed \(object.name)")
                }
                if told.count == 3 { break }
            }
            #expect(told == ["synced [\"first\"]", "changed second", "removed second"])
        }
    }

    @Test func commandsRunInPods() async throws {
        try await withNamespace { client, namespace in
            var pod = KubernetesObject(.pods, name: "p")
            pod.spec = [
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
                "containers": [
                    [
                        "name": "c", "image": .string(RealCluster.image), "imagePullPolicy": "Never",
                        "command": ["/bin/sh", "-c", "echo begun; sleep 600"],
                    ]
                ],
            ]
            // A namespace has its service account a moment later, without which no pod is admitted.
            try await waitUntil("the service account is there") {
                try await client.get(.serviceAccounts, "default") != nil
            }
            try await client.create(.pods, pod)
            try await waitUntil("the pod runs", within: .seconds(120)) {
                try await client.get(.pods, "p")?["status", "phase"] == "Running"
            }
            let log = try await client.logs(pod: "p").collect(limit: 1000)
            #expect(String(decoding: log, as: UTF8.self) == "begun\n")

            let result = try await client.exec(pod: "p", command: ["/bin/sh", "-c", "echo out; echo err >&2; exit 7"])
            #expect(result.text == "out\n" && result.stderr == Array("err\n".utf8) && result.status == 7)
            let input = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let echoed = try await client.exec(pod: "p", container: "c", command: ["cat"], stdin: input)
            #expect(echoed.stdout == input && echoed.status == 0)

            let large = await failure {
                _ = try await client.exec(pod: "p", command: ["/bin/sh", "-c", "yes"], limit: 100_000)
            }
            #expect(large?.case == .tooLarge)
            // Some runtimes refuse, others give it a status.
            let missing = try? await client.exec(pod: "p", command: ["/no/such/program"])
            #expect(missing?.status != 0)
            let absent = await failure { _ = try await client.exec(pod: "q", command: ["true"]) }
            #expect(absent?.case == .notFound && absent?.refusal?.message.contains("\"q\"") == true)

            let run = try await client.execStream(
                pod: "p", command: ["/bin/sh", "-c", "read line; echo got $line"], takesInput: true)
            try await run.write(Array("hello\n".utf8))
            var output: [UInt8] = []
            while let piece = try await run.next() { if case .stdout(let bytes) = piece { output += bytes } }
            let status = try await run.wait()
            #expect(String(decoding: output, as: UTF8.self) == "got hello\n" && status == 0)
        }
    }
}
