import Foundation
import TestSupport
import Testing
import Transport

@testable import Relay

struct StrangerBudgetTests {
    let start = ContinuousClock.now

    @Test func anAddressHasItsBudgetAndGetsItBackInAMinute() {
        let budget = StrangerBudget(perMinute: 3, addresses: 10)
        let taken = (0..<5).map { _ in budget.take("192.0.2.1", now: start) }
        #expect(taken == [true, true, true, false, false])
        #expect(budget.take("192.0.2.2", now: start))
        #expect(!budget.take("192.0.2.1", now: start + .seconds(19)))
        #expect(budget.take("192.0.2.1", now: start + .seconds(20)))
        #expect(!budget.take("192.0.2.1", now: start + .seconds(20)))
    }

    @Test func whatProvedAKeyIsGivenBack() {
        let budget = StrangerBudget(perMinute: 1, addresses: 10)
        for _ in 0..<5 {
            #expect(budget.take("192.0.2.1", now: start))
            budget.giveBack("192.0.2.1", now: start)
        }
        // Never more than there was.
        budget.giveBack("192.0.2.1", now: start)
        #expect(budget.take("192.0.2.1", now: start))
        #expect(!budget.take("192.0.2.1", now: start))
    }

    @Test func addressesAreForgottenBeforeTheyFillTheMemory() {
        let budget = StrangerBudget(perMinute: 1, addresses: 100)
        for number in 0..<10_000 { _ = budget.take("10.0.\(number / 256).\(number % 256)", now: start) }
        #expect(budget.count <= 100)
        // The newest are known.
        #expect(!budget.take("10.0.\(9_999 / 256).\(9_999 % 256)", now: start))
    }

    @Test func thisMachineHasNoBudget() {
        let budget = StrangerBudget(perMinute: 1, addresses: 10)
        let taken = (0..<3).map { _ in budget.take("127.0.0.1", now: start) && budget.take("unix", now: start) }
        #expect(taken == [true, true, true])
    }
}

/// What a socket may do before its key is proven.
struct StrangerTests {
    let alice = MeshClient()

    @Test func failedConnectsUseUpTheBudgetOfAnAddress() async throws {
        try await TestRelay.run {
            $0.limits.isLoopbackExempt = false
            $0.limits.strangersPerMinute = 3
        } _: { relay in
            // Admitted connections cost nothing, however many they are.
            for _ in 0..<5 {
                let agent = MeshClient()
                try await agent.join(relay)
            }
            for _ in 0..<3 {
                let stranger = MeshClient()
                try await stranger.open(relay)
                stranger.send(["type": "message"])
                #expect(try await stranger.closeCode() == 4001)
            }
            await #expect(throws: TransportError.self) { try await alice.open(relay) }
            #expect(relay.metric("kars_relay_strangers_cut_total") == 1)
            #expect(relay.metric("kars_relay_connected_agents") == 5)
        }
    }

    @Test func whomTheRelayCannotServeForItsOwnReasonsPaysNothing() async throws {
        // The test itself holds more than a byte.
        try await TestRelay.run {
            $0.limits.isLoopbackExempt = false
            $0.limits.strangersPerMinute = 1
            $0.limits.memoryBytes = 1
        } _: { relay in
            for _ in 0..<3 {
                let agent = MeshClient()
                try await agent.open(relay)
                #expect(try await agent.closeCode() == 1013)
            }
        }
    }

    @Test func requestsBeyondTheBudgetAreRefused() async throws {
        try await TestRelay.run {
            $0.limits.isLoopbackExempt = false
            $0.limits.strangersPerMinute = 4
        } _: { relay in
            // A connection and a request each.
            var answers: [HTTPClientResponse] = []
            for _ in 0..<2 { answers.append(try await relay.get("/healthz")) }
            #expect(answers.map(\.status) == [200, 200])
            await #expect(throws: TransportError.self) { try await relay.get("/healthz") }
        }
        try await TestRelay.run {
            $0.limits.isLoopbackExempt = false
            $0.limits.strangersPerMinute = 1
        } _: { relay in
            let refused = try await relay.get("/healthz")
            #expect(refused.status == 429)
            #expect(refused.headers["retry-after"] == "60")
        }
    }

    @Test func aFirstFrameIsNotGatheredBeyondItsBound() async throws {
        try await TestRelay.run { $0.limits.connectFrameBytes = 2_000 } _: { relay in
            try await alice.open(relay)
            // A fragment that is not the last: nothing but the bound can end this.
            let raw = try await RawWebSocket.open(relay)
            await raw.send(opcode: 1, isFinal: false, payload: [UInt8](repeating: 0x20, count: 1_500))
            await raw.send(opcode: 0, isFinal: false, payload: [UInt8](repeating: 0x20, count: 1_500))
            #expect(await raw.closeCode() == 1009)
            raw.close()
            try await waitUntil("the close is counted") {
                relay.metric("kars_relay_connections_closed_total{reason=\"connect_too_long\"}") == 1
            }
            // After its proof a frame may be as long as any.
            try alice.introduce(extensions: ["receipts"])
            _ = try await alice.next("connected")
            alice.message("1", to: alice.did, size: 10_000)
            _ = try await alice.next("message")
        }
    }

    @Test func aStrangerThatSendsControlFramesWithoutEndIsClosed() async throws {
        try await TestRelay.run {
            $0.limits.strangerBytes = 20_000
            $0.limits.strangerInterval = .milliseconds(20)
            $0.limits.handshakeTimeout = .seconds(600)
        } _: { relay in
            let raw = try await RawWebSocket.open(relay)
            for _ in 0..<200 { await raw.send(opcode: 9, payload: [UInt8](repeating: 0x2e, count: 120)) }
            #expect(await raw.closeCode() == 1008)
            raw.close()
            #expect(relay.metric("kars_relay_connections_closed_total{reason=\"stranger_too_loud\"}") == 1)
            // Who is quiet may take its time.
            try await alice.open(relay)
            try alice.introduce(extensions: ["receipts"])
            _ = try await alice.next("connected")
        }
    }

    @Test func randomBytesBeforeAConnectEndNothingButTheirConnection() async throws {
        var random = SeededRandom(seed: 41)
        try await TestRelay.run { _ in } _: { relay in
            try await alice.join(relay)
            for _ in 0..<40 {
                let raw = try await RawWebSocket.open(relay)
                for _ in 0..<Int.random(in: 1...8, using: &random) {
                    let payload = random.bytes(Int.random(in: 0...125, using: &random))
                    await raw.send(
                        opcode: UInt8.random(in: 0...15, using: &random), isFinal: Bool.random(using: &random),
                        payload: payload)
                }
                raw.close()
            }
            alice.message("1", to: alice.did)
            _ = try await alice.next("message")
            try await waitUntil("the strangers are gone") { relay.metric("kars_relay_connections") == 1 }
        }
    }
}
