import Foundation
import MeshIdentity
import MeshTestSupport
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

/// Two agents of ours on a relay and a registry of ours.
struct MeshClientTests {
    /// Counts the KNOCKs a policy saw.
    private final class Knocks: Sendable {
        private let seen = Mutex(0)
        var count: Int { seen.withLock { $0 } }
        func note() { seen.withLock { $0 += 1 } }
    }

    private func together(
        policy: @escaping KnockPolicy = { _ in .accept() }, ofFirst firstPolicy: @escaping KnockPolicy = { _ in .accept() },
        _ body: (TestMesh, TestAgent, TestAgent) async throws -> Void
    ) async throws {
        let mesh = try await TestMesh()
        let first = try await mesh.agent("first", policy: firstPolicy)
        let second = try await mesh.agent("second", policy: policy)
        do {
            try await body(mesh, first, second)
        } catch {
            Issue.record(error)
        }
        await first.stop()
        await second.stop()
        await mesh.stop()
    }

    @Test func aSessionThatIsUsedUpIsFollowedByAnother() async throws {
        let knocks = Knocks()
        let policy: KnockPolicy = { _ in
            knocks.note()
            return .accept(conditions: .init(maxMessages: 3))
        }
        try await together(policy: policy) { _, first, second in
            let texts = (0..<7).map { "message \($0)" }
            for text in texts { try await first.send(text, to: second.peer) }
            try await second.expect(texts)
            #expect(knocks.count == 3)
            try await second.send("answer", to: first.peer)
            try await first.expect(["answer"])
        }
    }

    @Test func anActionThatIsNotAllowedDoesNotLeave() async throws {
        try await together(policy: { _ in .accept(conditions: .init(allowedActions: ["chat"])) }) { _, first, second in
            let failure = await #expect(throws: OperationFailure.self) {
                try await first.send(#"{"type":"pay"}"#, to: second.peer)
            }
            #expect(failure?.code == .refused)
            try await first.send(#"{"type":"chat"}"#, to: second.peer)
            try await second.expect([#"{"type":"chat"}"#])
        }
    }

    @Test func aSessionWithoutTimeIsNotKnockedForAgainAndAgain() async throws {
        let knocks = Knocks()
        let policy: KnockPolicy = { _ in
            knocks.note()
            return .accept(conditions: .init(ttlSeconds: 0))
        }
        try await together(policy: policy) { _, first, second in
            let failure = await #expect(throws: OperationFailure.self) { try await first.send("hello", to: second.peer) }
            #expect(failure?.code == .refused)
            #expect(knocks.count == 1)
        }
    }

    @Test func aRevokedPeerGetsNoSession() async throws {
        let holder = Holder()
        let policy: KnockPolicy = { knock in
            let sender = try? await holder.registry?.agent(knock.peer.did)
            return KnockRules().decide(knock, sender: sender ?? nil)
        }
        try await together(policy: policy) { _, first, second in
            holder.set(second.registry)
            let certificate = try RevocationCertificate.make(identity: first.identity, reason: "lost", now: Date())
            try await first.registry.revoke(certificate)
            let failure = await #expect(throws: OperationFailure.self) { try await first.send("hello", to: second.peer) }
            #expect(failure?.message.contains("revoked") == true)
            #expect(second.received.isEmpty)
        }
    }

    private final class Holder: Sendable {
        private let client = Mutex<RegistryClient?>(nil)
        var registry: RegistryClient? { client.withLock { $0 } }
        func set(_ registry: RegistryClient) { client.withLock { $0 = registry } }
    }

    @Test func plaintextIsNeverTakenForAMessage() async throws {
        try await together { _, first, second in
            try await first.send("sealed", to: second.peer)
            let text = Base64.encode(Array("plain".utf8))
            let names = #""from":"\#(first.peer.did)","to":"\#(second.peer.did)","ts":"""#
            for (number, rest) in [
                #""plaintext":true,"ciphertext":"\#(text)""#, #""plaintext":true,"payload":"plain""#,
                #""plaintext":true,"header":{"dh":"","pn":0,"n":0},"ciphertext":"\#(text)""#,
                #""plaintext":true,"header":{"dh":"\#(Base64.encode(RandomBytes.make(32)))","pn":0,"n":0},"#
                    + #""ciphertext":"\#(Base64.encode(Array(String(repeating: "plain", count: 20).utf8)))""#,
            ].enumerated() {
                #expect(first.client.transmit(Array(#"{"v":1,"type":"message","id":"p\#(number)",\#(names),\#(rest)}"#.utf8)))
            }
            try await first.send("sealed again", to: second.peer)
            try await second.expect(["sealed", "sealed again"])
        }
    }

    @Test func nonsenseMakesAtMostOneNewSessionAndTheOldOneGoesOn() async throws {
        let knocks = Knocks()
        let policy: KnockPolicy = { _ in
            knocks.note()
            return .accept()
        }
        try await together(ofFirst: policy) { _, first, second in
            try await first.send("one", to: second.peer)
            try await second.expect(["one"])
            for _ in 0..<50 {
                let message = RatchetMessage(dh: RandomBytes.make(32), pn: 0, n: 0, ciphertext: RandomBytes.make(64))
                let frame = MessageFrame(
                    from: first.peer.did.text, to: second.peer.did.text, now: Date(), message: message)
                first.client.transmit(frame.encode())
            }
            try await first.send("two", to: second.peer)
            try await second.expect(["one", "two"])
            try await waitUntil("the fresh session's KNOCK") { knocks.count > 0 }
            try await second.send("answer", to: first.peer)
            try await first.expect(["answer"])
            #expect(knocks.count == 1)
        }
    }

    /// The specification's form: the key agreement comes with the first message.
    @Test func oneKeyAgreementMakesOneSessionHoweverOftenItComes() async throws {
        let knocks = Knocks()
        let policy: KnockPolicy = { _ in
            knocks.note()
            return .accept()
        }
        try await together(policy: policy) { _, first, second in
            let (from, to) = (first.peer.did.text, second.peer.did.text)
            let bundle = try await first.registry.prekeyBundle(of: second.peer.did)
            var (session, establishment) = try X3DH.initiate(identity: first.identity, bundle: bundle, from: from, to: to)
            func knock() async throws {
                var frame = KnockFrame.make(
                    identity: first.identity, to: to, intent: Intent(action: "establish_session"),
                    establishment: establishment, now: Date())
                frame.establishment = nil
                frame.binding = nil
                let before = knocks.count
                first.client.transmit(frame.encode())
                try await waitUntil("the KNOCK is decided") { knocks.count == before + 1 }
            }
            let message = try session.encrypt(Array("once".utf8))
            func send() {
                let frame = MessageFrame(from: from, to: to, now: Date(), message: message, establishment: establishment)
                first.client.transmit(frame.encode())
            }
            try await knock()
            send()
            send()
            try await knock()
            send()
            let last = try session.encrypt(Array("last".utf8))
            first.client.transmit(MessageFrame(from: from, to: to, now: Date(), message: last).encode())
            try await waitUntil("the last message") { second.received.last == "last" }
            #expect(second.received == ["once", "last"])
        }
    }

    @Test func aKeyAgreementOfAnotherKeyStartsNothing() async throws {
        try await together { mesh, first, second in
            let other = Identity.generate()
            let (from, to) = (first.peer.did.text, second.peer.did.text)
            let bundle = try await first.registry.prekeyBundle(of: second.peer.did)
            var (session, establishment) = try X3DH.initiate(identity: other, bundle: bundle, from: from, to: to)
            var frame = KnockFrame.make(
                identity: first.identity, to: to, intent: Intent(action: "establish_session"),
                establishment: establishment, now: Date())
            frame.establishment = nil
            frame.binding = nil
            first.client.transmit(frame.encode())
            let message = try session.encrypt(Array("forged".utf8))
            first.client.transmit(
                MessageFrame(from: from, to: to, now: Date(), message: message, establishment: establishment).encode())
            try await first.send("real", to: second.peer)
            try await second.expect(["real"])
        }
    }
}
