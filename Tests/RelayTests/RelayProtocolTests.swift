import Foundation
import MeshIdentity
import Observability
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Relay

struct RelayProtocolTests {
    let alice = MeshClient()
    let bob = MeshClient()

    @Test(arguments: ["/ws", "/"])
    func bothPathsServeClients(_ path: String) async throws {
        try await TestRelay.run { relay in
            try await alice.open(relay, path: path)
            alice.send(bytes: ConnectFrame.make(identity: alice.identity, now: Date()).encode())
            try await alice.settle()
        }
    }

    @Test func anotherPathIsRefused() async throws {
        try await TestRelay.run { relay in
            await #expect(throws: TransportError.refused(status: 404)) { try await alice.open(relay, path: "/other") }
        }
    }

    @Test(arguments: ["{\"type\":\"message\"}", "{}", "garbage", "{\"type\":7}"])
    func theFirstFrameMustBeConnect(_ text: String) async throws {
        try await TestRelay.run { relay in
            try await alice.open(relay)
            alice.send(text)
            #expect(try await alice.closeCode() == 4001)
            #expect(alice.frames.map(\.type) == ["error"])
        }
    }

    @Test func silenceAfterTheOpeningEndsIt() async throws {
        try await TestRelay.run { $0.limits.handshakeTimeout = .milliseconds(300) } _: { relay in
            try await alice.open(relay)
            #expect(try await alice.closeCode() == 4001)
        }
    }

    @Test func aConnectWithoutNameIsRefused() async throws {
        try await TestRelay.run { relay in
            for from in ["", ",\"from\":\"\"", ",\"from\":7"] {
                let client = MeshClient()
                try await client.open(relay)
                client.send("{\"type\":\"connect\"\(from)}")
                #expect(try await client.closeCode() == 4002)
                #expect(client.frames.map(\.type) == ["error"])
            }
        }
    }

    @Test func aWrongTokenIsRefused() async throws {
        try await TestRelay.run { $0.sharedToken = Array("secret".utf8) } _: { relay in
            try await alice.connect(relay, token: "wrong")
            #expect(try await alice.closeCode() == 4003)
            #expect(alice.frames.map(\.type) == ["error"])
            try await bob.join(relay, token: "secret")
            // Newcomers need the new one; who is connected stays.
            try await relay.service.reload(sharedToken: Array("other".utf8))
            let late = MeshClient(), right = MeshClient()
            try await late.connect(relay, token: "secret")
            #expect(try await late.closeCode() == 4003)
            try await right.join(relay, token: "other")
            bob.message("1", to: right.did)
            _ = try await right.next("message")
        }
    }

    @Test func aFailedProofIsExplained() async throws {
        try await TestRelay.run { relay in
            try await alice.connect(relay, as: bob.did)
            #expect(try await alice.closeCode() == 4005)
            #expect(alice.frames.first?["detail"]?.hasPrefix("DID proof failed: ") == true)
            let late = MeshClient()
            try await late.open(relay)
            late.send(bytes: ConnectFrame.make(identity: late.identity, now: Date() - 301).encode())
            #expect(try await late.closeCode() == 4005)
            #expect(late.frames.first?["detail"]?.hasPrefix("DID proof failed: ") == true)
        }
    }

    @Test func theNewerConnectionWins() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            let newer = MeshClient(bob.identity)
            try await newer.join(relay, as: bob.identity.publicKey.agentMeshDID.text)
            #expect(try await bob.closeCode() == 4006)
            #expect(bob.closing?.reason == "session_replaced")
            alice.message("1", to: bob.did)
            #expect(try await newer.next("message").id == "1")
            #expect(relay.metric("kars_relay_connected_agents") == 2)
        }
    }

    @Test func aSilentClientIsClosedAndAHeartbeatKeepsAnother() async throws {
        try await TestRelay.run { $0.limits.idleTimeout = .seconds(1) } _: { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            // From a loop's timer, so that a busy machine does not silence it.
            beat(bob, on: relay.clientLoop)
            #expect(try await alice.closeCode() == 4004)
            #expect(bob.closing == nil)
        }
    }

    private func beat(_ client: MeshClient, on loop: EventLoop) {
        guard client.closing == nil else { return }
        client.send("{\"v\":1,\"type\":\"heartbeat\",\"from\":\"\(client.did)\",\"ts\":\"2026-01-01T00:00:00Z\"}")
        loop.schedule(after: .milliseconds(50)) { [weak loop] in
            if let loop { beat(client, on: loop) }
        }
    }

    @Test func disconnectIsANormalEnd() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            alice.send(["v": 1, "type": "disconnect", "from": alice.did])
            #expect(try await alice.closeCode() == 1000)
        }
    }

    @Test func aMissingSenderIsStampedAndAFalseOneDropped() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            alice.message("1", to: bob.did, named: false)
            alice.send(["type": "message", "id": "2", "to": bob.did, "from": bob.did])
            alice.send(["type": "message", "id": "3", "to": bob.did, "from": 7])
            alice.send(["type": "message", "id": "4", "to": bob.did, "from": alice.identity.publicKey.amid])
            _ = try await bob.next("message", count: 2)
            #expect(bob.ids() == ["1", "4"])
            #expect(bob.frames.filter { $0.type == "message" }.map { $0["from"] }
                == [alice.did, alice.identity.publicKey.amid])
        }
    }

    @Test func unknownAndUnusableFramesAreAnsweredAndTheConnectionStays() async throws {
        try await TestRelay.run { relay in
            try await alice.join(relay)
            alice.send("{\"type\":\"no\\u0022pe\"}")
            alice.send("{}")
            alice.send("{\"type\":\"message\",\"id\":\"1\"}")
            alice.send(["type": "message", "id": "1", "to": "did:mesh:short"])
            alice.send(["type": "message", "to": bob.did])
            alice.send(["type": "message", "to": bob.did, "id": String(repeating: "x", count: 129)])
            alice.send("not json")
            alice.send(bytes: Array("{}".utf8), isText: false)
            _ = try await alice.next("error", count: 8)
            #expect(alice.frames.compactMap { $0["detail"] } == [
                "Unknown frame type: no\"pe", "Unknown frame type: none", "to is missing or no DID",
                "to is missing or no DID", "id is missing, empty or longer than 128 bytes",
                "id is missing, empty or longer than 128 bytes", "a frame is one JSON object", "a frame is text",
            ])
            alice.message("2", to: alice.did)
            _ = try await alice.next("message")
        }
    }

    @Test func garbageIsBounded() async throws {
        try await TestRelay.run { $0.limits.faultyFrames = 5 } _: { relay in
            try await alice.join(relay)
            for _ in 0..<100 { alice.send("garbage") }
            #expect(try await alice.closeCode() == 1008)
            #expect(alice.frames.count { $0.type == "error" } == 6)
        }
    }

    @Test func seededGarbageNeverStopsTheRelay() async throws {
        try await TestRelay.run { $0.limits.faultyFrames = 1_000_000 } _: { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            var random = SeededRandom(seed: 21)
            let frame = Array("{\"type\":\"message\",\"to\":\"\(bob.did)\",\"id\":\"x\",\"header\":{\"n\":1}}".utf8)
            for _ in 0..<1_000 { alice.send(bytes: random.mutation(of: frame)) }
            for _ in 0..<200 { alice.send(bytes: random.bytes(60), isText: false) }
            alice.message("last", to: bob.did)
            try await waitUntil("the last message") { bob.ids().contains("last") }
        }
    }

    @Test func aFrameBeyondTheBoundEndsTheConnection() async throws {
        try await TestRelay.run { $0.limits.frameBytes = 4_096 } _: { relay in
            try await alice.join(relay)
            alice.message("1", to: bob.did, size: 8_192)
            #expect(try await alice.closeCode() == 1009)
            #expect(relay.metric("kars_relay_inbox_messages") == 0)
        }
    }

    @Test func theRateOfAClientIsBoundedAndNothingIsLost() async throws {
        try await TestRelay.run {
            $0.limits.framesPerSecond = 2_000
            $0.limits.frameBurst = 10
        } _: { relay in
            try await alice.join(relay)
            try await bob.join(relay)
            for number in 0..<200 { alice.message("\(number)", to: bob.did) }
            _ = try await bob.next("message", count: 200)
            #expect(bob.ids() == (0..<200).map(String.init))
            #expect(try #require(relay.metric("kars_relay_read_pauses_total")) > 0)
        }
    }

    @Test func withoutTheExtensionNothingExtraIsSent() async throws {
        try await TestRelay.run { relay in
            try await alice.connect(relay)
            alice.message("1", to: bob.did)
            try await waitUntil("it is stored") { relay.metric("kars_relay_messages_stored_total") == 1 }
            try await alice.settle()
            #expect(alice.frames.map(\.type) == ["error"])
        }
    }

    @Test func aReceiptComesWhenTheMessageIsOnDisk() async throws {
        let folder = TemporaryFolder()
        try await TestRelay.run(in: folder) { relay in
            try await alice.join(relay)
            for number in 0..<20 {
                alice.message("\(number)", to: bob.did)
                let receipt = try await alice.next("receipt", count: number + 1)
                #expect(receipt.id == "\(number)")
                #expect(receipt["status"] == "stored")
                // Another connection to the file sees only what is committed.
                let copy = try SQLiteInbox(path: folder.file("relay/inbox.db"), recentIDs: 0, logger: .silent)
                #expect(copy.contents.usage.values.first?.messages == number + 1)
                copy.close()
            }
        }
    }

    @Test func theEndOfAnAgentsConnectionIsOneLineAndStrangersFillNoLog() async throws {
        let log = Log()
        let logger = Logger(service: "relay", format: .json) { line in log.lines.withLock { $0.append(line) } }
        try await TestRelay.run(logger: logger) { relay in
            try await alice.join(relay)
            try await alice.leave()
            try await bob.open(relay)
            bob.send("nonsense")
            _ = try await bob.closeCode()
            try await waitUntil("both have left") { relay.metric("kars_relay_connections") == 0 }
        }
        let ends = log.lines.withLock { $0 }.filter { $0.contains("connected") || $0.contains("closed") }
        #expect(ends.count == 1)
        #expect(ends.first?.contains(alice.identity.did.text) == true)
        #expect(ends.first?.contains("\"reason\":\"client\",\"detail\":\"code 1000\"") == true, "\(ends)")
    }

    private final class Log: Sendable { let lines = Mutex<[String]>([]) }
}
