import Foundation
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Relay

/// A registry that knows what a test tells it.
final class FakeRegistry: Sendable {
    let url: ServiceURL
    let successors: Successors
    private let server: Server
    private let loop: EventLoop

    final class Successors: Sendable {
        private let state = Mutex((names: [String: String](), questions: [String: Int]()))

        func set(_ successor: String, of name: String) { state.withLock { $0.names[name] = successor } }
        func questions(about name: String) -> Int { state.withLock { $0.questions[name] ?? 0 } }

        func answer(_ name: String) -> HTTPResponse {
            let successor = state.withLock { state in
                state.questions[name, default: 0] += 1
                return state.names[name]
            }
            return .json(["did": name, "tier": "anonymous", "successor": successor].compactMapValues { $0 })
        }
    }

    init() async throws {
        let successors = Successors()
        self.successors = successors
        loop = try EventLoop(name: "registry")
        server = try await Server(loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0)) { request in
            let prefix = "/v1/agents/"
            guard request.path.hasPrefix(prefix) else { return .json(["detail": "not found"], status: 404) }
            return successors.answer(String(request.path.dropFirst(prefix.count)))
        }
        url = try ServiceURL(parsing: "http://\(server.endpoint)")
    }

    func stop() async {
        await server.close()
        loop.shutdown()
    }
}

struct SuccessionTests {
    let alice = MeshClient()
    let old = MeshClient()
    let new = MeshClient()

    func run(
        in folder: TemporaryFolder = TemporaryFolder(), _ limits: (inout RelayLimits) -> Void = { _ in },
        _ body: (TestRelay, FakeRegistry.Successors) async throws -> Void
    ) async throws {
        let registry = try await FakeRegistry()
        try await TestRelay.run(in: folder) {
            $0.registry = registry.url
            $0.limits.successionPatience = .milliseconds(10)
            limits(&$0.limits)
        } _: { relay in
            try await body(relay, registry.successors)
        }
        await registry.stop()
    }

    @Test func mailOfAMovedAgentReachesItsSuccessorAsItWasSent() async throws {
        try await run { relay, registry in
            registry.set(new.did, of: old.did)
            try await alice.join(relay)
            try await new.join(relay, acks: true)
            let text = "{\"type\":\"message\",\"from\":\"\(alice.did)\",\"to\":\"\(old.did)\", \"id\":\"1\"}"
            alice.send(text)
            #expect(String(decoding: try await new.next("message").bytes, as: UTF8.self) == text)
            try await waitUntil("the ack freed it") { relay.metric("kars_relay_inbox_messages") == 0 }
            #expect(relay.metric("kars_relay_messages_succeeded_total") == 1)
            // From now on without a detour.
            for number in 2...50 { alice.message("\(number)", to: old.did) }
            _ = try await new.next("message", count: 50)
            #expect(new.ids() == (1...50).map(String.init))
            #expect(registry.questions(about: old.did) == 1)
        }
    }

    @Test func mailThatCameBeforeTheMoveFollowsAndStaysInOrder() async throws {
        try await run { relay, registry in
            try await alice.join(relay)
            for number in 0..<200 { alice.message("\(number)", to: old.did) }
            _ = try await alice.next("receipt", count: 200)
            try await new.join(relay, acks: true)
            try await waitUntil("nobody is there yet") { registry.questions(about: old.did) > 1 }
            registry.set(new.did, of: old.did)
            for number in 200..<600 { alice.message("\(number)", to: old.did) }
            _ = try await new.next("message", count: 600)
            #expect(new.ids() == (0..<600).map(String.init))
            try await waitUntil("the acks freed everything") { relay.metric("kars_relay_inbox_messages") == 0 }
        }
    }

    @Test func aRepetitionOfMovedMailIsDeliveredOnce() async throws {
        try await run { relay, registry in
            try await alice.join(relay)
            alice.message("1", to: old.did)
            _ = try await alice.next("receipt")
            try await new.join(relay, acks: true)
            registry.set(new.did, of: old.did)
            _ = try await new.next("message")
            alice.message("1", to: old.did)
            alice.message("2", to: old.did)
            _ = try await alice.next("receipt", count: 3)
            _ = try await new.next("message", count: 2)
            #expect(new.ids() == ["1", "2"])
        }
    }

    @Test func successorsOfSuccessorsAreFollowedUpToABound() async throws {
        try await run { $0.successionDepth = 4 } _: { relay, registry in
            let chain = (0..<6).map { _ in MeshClient() }
            for index in 0..<5 { registry.set(chain[index + 1].did, of: chain[index].did) }
            try await alice.join(relay)
            try await chain[5].join(relay, acks: true)
            alice.message("far", to: chain[0].did)
            alice.message("near", to: chain[2].did)
            _ = try await chain[5].next("message")
            try await waitUntil("the bound was met") { registry.questions(about: chain[3].did) > 1 }
            #expect(chain[5].ids() == ["near"])
            #expect(relay.metric("kars_relay_inbox_messages") ?? 0 > 0)
        }
    }

    @Test func aCircleOfSuccessorsKeepsTheMail() async throws {
        try await run { relay, registry in
            registry.set(new.did, of: old.did)
            registry.set(old.did, of: new.did)
            try await alice.join(relay)
            alice.message("1", to: old.did)
            try await waitUntil("it was asked for") { registry.questions(about: new.did) > 1 }
            try await old.join(relay)
            #expect(try await old.next("message").id == "1")
        }
    }

    @Test func whoeverIsConnectedReadsItsOwnMail() async throws {
        try await run { relay, registry in
            registry.set(new.did, of: old.did)
            try await alice.join(relay)
            try await new.join(relay, acks: true)
            alice.message("1", to: old.did)
            _ = try await new.next("message")
            try await old.join(relay, acks: true)
            alice.message("2", to: old.did)
            #expect(try await old.next("message").id == "2")
            #expect(new.ids() == ["1"])
        }
    }

    @Test func mailIsMovedAfterARestartToo() async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder) { relay in
            try await alice.join(relay)
            alice.message("1", to: old.did)
            _ = try await alice.next("receipt")
        }
        try await run(in: folder) { relay, registry in
            registry.set(new.did, of: old.did)
            try await new.join(relay)
            #expect(try await new.next("message").id == "1")
        }
    }
}
