import Testing
import Transport

@testable import Resources

@Suite struct WatchTests {
    @Test func aWatchGoesOnAcrossConnections() async throws {
        let handler: FakeCluster.Handler = { _, number in
            switch number {
            // Cut within a line: what is half there does not count.
            case 0: .watch([event("ADDED", "a", version: "11")], then: "{\"type\":\"MODI", isCut: true)
            case 1: .watch([event("MODIFIED", "a", version: "12"), event("BOOKMARK", "", version: "20")])
            case 2: .refusal(503)
            case 3: .watch([event("DELETED", "a", version: "21")])
            default: .watch([["type": "ERROR", "object": HTTPResponse.status(410, "Expired")]])
            }
        }
        try await FakeCluster.serve(handler) { client, cluster in
            var told: [WatchEvent] = []
            let error = await failure {
                for try await event in try client.watch(.configMaps, namespace: "home", labelSelector: "x", from: "10") {
                    told.append(event)
                }
            }
            #expect(error?.case == .expired)
            func seen(_ version: String) -> KubernetesObject { KubernetesObject(configMap("a", version: version)) }
            #expect(
                told == [
                    .added(seen("11")), .modified(seen("12")), .bookmark(resourceVersion: "20"), .deleted(seen("21")),
                ])
            #expect(cluster.asked.map { $0.queryValue("resourceVersion") } == ["10", "11", "20", "20", "21"])
            #expect(cluster.asked.allSatisfy { $0.queryValue("allowWatchBookmarks") == "true" })
            #expect(cluster.asked.allSatisfy { $0.queryValue("watch") == "1" && $0.queryValue("labelSelector") == "x" })
        }
    }

    @Test func anExpiredVersionIsToldWhicheverWayItIsSaid() async throws {
        try await FakeCluster.serve { _, _ in .refusal(410, "Expired") } _: { client, _ in
            let error = await failure { for try await _ in try client.watch(.pods, from: "1") {} }
            #expect(error?.case == .expired)
        }
    }

    @Test func aServerThatHangsUpAtOnceIsNotAskedInABusyLoop() async throws {
        let handler: FakeCluster.Handler = { _, number in
            number < 3 ? .watch([]) : .watch([event("ADDED", "a", version: "2")])
        }
        try await FakeCluster.serve(handler) { client, cluster in
            for try await _ in try client.watch(.pods, from: "1") { break }
            #expect(cluster.waits.count == 3)
        }
    }

    @Test func aWatchEndsWithItsTask() async throws {
        let handler: FakeCluster.Handler = { _, _ in
            HTTPResponse(
                status: 200,
                body: .stream { writer in
                    try await writer.write(event("ADDED", "a", version: "2").encode() + [0x0A])
                    try await Task.sleep(for: .seconds(3600))
                })
        }
        try await FakeCluster.serve(handler) { client, _ in
            let (began, told) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                for try await _ in try client.watch(.pods, from: "1") { told.yield() }
            }
            for await _ in began { break }
            task.cancel()
            _ = await task.result
        }
    }

    @Test func followingListsWatchesAndListsAgain() async throws {
        let handler: FakeCluster.Handler = { request, number in
            switch number {
            case 0: .json(list(["a", "b"], version: "5"))
            case 1:
                .watch([
                    event("MODIFIED", "a", version: "6"), event("DELETED", "b", version: "7"),
                    ["type": "ERROR", "object": HTTPResponse.status(410, "Expired")],
                ])
            case 2: .refusal(403, "Forbidden")
            case 3: .json(list(["c"], version: "9"))
            default: .watch([event("ADDED", "d", version: "10")])
            }
        }
        try await FakeCluster.serve(handler) { client, cluster in
            var told: [String] = []
            for try await change in client.follow(.configMaps, namespace: "home") {
                switch change {
                case .synced(let objects): told.append("synced \(objects.map(\.name))")
                case .changed(let object): told.append("changed \(object.key)")
                case .removed(let object): told.append("removed \(object.key)")
                }
                if told.count == 5 { break }
            }
            #expect(
                told == [
                    "synced [\"a\", \"b\"]", "changed home/a", "removed home/b", "synced [\"c\"]", "changed home/d",
                ])
            #expect(cluster.asked[4].queryValue("resourceVersion") == "9")
        }
    }

    @Test func followingWhatMayNotBeListedEndsAtOnce() async throws {
        try await FakeCluster.serve { _, _ in .refusal(403, "Forbidden") } _: { client, _ in
            let error = await failure { for try await _ in client.follow(.secrets) {} }
            #expect(error?.case == .forbidden)
        }
    }

    @Test func logsComeAsTheyAreWritten() async throws {
        let handler: FakeCluster.Handler = { _, _ in
            HTTPResponse(status: 200, body: .stream { try await $0.write(Array("one\ntwo\n".utf8)) })
        }
        try await FakeCluster.serve(handler) { client, cluster in
            let reader = try await client.logs(
                pod: "p", container: "c", follows: true, tailLines: 5, sinceSeconds: 60, isPrevious: true,
                withTimestamps: true)
            #expect(String(decoding: try await reader.collect(limit: 100), as: UTF8.self) == "one\ntwo\n")
            #expect(
                cluster.lines == [
                    "GET /api/v1/namespaces/home/pods/p/log?container=c&follow=true&tailLines=5&sinceSeconds=60&previous=true"
                        + "&timestamps=true",
                ])
        }
    }
}
