import TestSupport
import Testing
import Transport

@testable import Resources

@Suite struct RetryTests {
    private let object = KubernetesObject(.configMaps, name: "a")

    @Test(arguments: [
        (400, "BadRequest"), (401, "Unauthorized"), (403, "Forbidden"), (404, "NotFound"), (409, "Conflict"),
        (409, "AlreadyExists"), (410, "Expired"), (422, "Invalid"), (501, "NotImplemented"),
    ])
    func aRefusalIsToldOnceWithTheServersWords(code: Int, reason: String) async throws {
        try await FakeCluster.serve { _, _ in .refusal(code, reason, "the\nreason why") } _: { client, cluster in
            let error = await failure { try await client.replace(.configMaps, object) }
            let refusal = try #require(error?.refusal)
            #expect(refusal.code == code && refusal.reason == reason && refusal.message == "the reason why")
            #expect(refusal.error == error)
            #expect(cluster.asked.count == 1 && cluster.waits.isEmpty)
            let text = try #require(error?.description)
            #expect(text.contains(client.server) && text.contains("replace configmaps home/a") && !text.contains("\n"))
        }
    }

    @Test func kindsOfRefusalsAreToldApart() {
        func kind(_ code: Int, _ reason: String = "") -> KubernetesError.Case {
            KubernetesRefusal(server: "s", action: "a", code: code, reason: reason).error.case
        }
        #expect(kind(409, "Conflict") == .conflict && kind(409, "AlreadyExists") == .alreadyExists)
        #expect([401, 403, 404, 410, 422, 429, 503, 500].map { kind($0) } == [
            .unauthorized, .forbidden, .notFound, .expired, .invalid, .busy, .busy, .refused,
        ])
    }

    @Test func aBusyServerIsAskedAgainWhenItSays() async throws {
        let handler: FakeCluster.Handler = { request, number in
            if number > 1 { return .json(configMap("a")) }
            var refusal = HTTPResponse.refusal(429, "TooManyRequests")
            refusal.headers["retry-after"] = "7"
            return refusal
        }
        try await FakeCluster.serve(handler) { client, cluster in
            // Refused before it was looked at: also a creation is repeated.
            try await client.create(.configMaps, object)
            #expect(cluster.waits == [.seconds(7), .seconds(7)])
        }
    }

    @Test func aServerThatAsksForALongPauseEndsTheCall() async throws {
        let handler: FakeCluster.Handler = { _, _ in
            var refusal = HTTPResponse.refusal(429, "TooManyRequests")
            refusal.headers["retry-after"] = "3600"
            return refusal
        }
        try await FakeCluster.serve(handler) { client, cluster in
            let error = await failure { _ = try await client.list(.pods) }
            #expect(error?.case == .busy && error?.refusal?.retryAfterSeconds == 3600 && cluster.asked.count == 1)
        }
    }

    @Test(arguments: [500, 502, 503, 504])
    func whatIsRepeatableIsRepeatedAndACreationIsNot(code: Int) async throws {
        try await FakeCluster.serve { _, _ in .refusal(code) } _: { client, cluster in
            _ = await failure { _ = try await client.get(.pods, "a") }
            #expect(cluster.asked.count == 5 && cluster.waits.count == 4)
            #expect(cluster.waits.allSatisfy { $0 <= .seconds(5) })
            _ = await failure { try await client.create(.configMaps, object) }
            #expect(cluster.asked.count == 6)
        }
    }

    @Test func aBrokenConnectionIsRepeatedOnlyWhereThatIsSafe() async throws {
        let handler: FakeCluster.Handler = { request, number in
            request.method == "POST" || number == 0 ? .broken : .json(configMap("a"))
        }
        try await FakeCluster.serve(handler) { client, cluster in
            let found = try await client.get(.configMaps, "a")
            #expect(found?.name == "a")
            let error = await failure { try await client.create(.configMaps, object) }
            #expect(error?.case == .interrupted)
            #expect(cluster.asked.map(\.method) == ["GET", "GET", "POST"])
        }
    }

    @Test func whereNothingAnswersThatIsSaid() async throws {
        let loop = try EventLoop(name: "none")
        defer { loop.shutdown() }
        // A port that was free a moment ago.
        let server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { _ in .text("") })
        let url = try ServiceURL(parsing: "https://127.0.0.1:\(server.endpoint.port!)")
        await server.close()
        let client = KubernetesClient(
            configuration: KubernetesConfiguration(server: url), loop: loop, logger: .silent, retries: RetryPolicy(),
            sleep: { _ in })
        let error = await failure { try await client.create(.configMaps, object) }
        #expect(error?.description.hasPrefix("no cluster answers at https://127.0.0.1:") == true)
    }

    @Test func pausesGrowWithinTheirBoundsAndVary() {
        let policy = RetryPolicy()
        var random = SeededRandom(seed: 3)
        var previous = Duration.zero
        for attempts in 1...12 {
            let pauses = (0..<50).map { _ in policy.pause(afterAttempts: attempts, using: &random) }
            #expect(pauses.allSatisfy { $0 <= policy.longestPause && $0 >= policy.firstPause / 2 })
            #expect(Set(pauses).count > 1 && pauses.max()! >= previous / 2)
            previous = pauses.max()!
        }
    }
}
