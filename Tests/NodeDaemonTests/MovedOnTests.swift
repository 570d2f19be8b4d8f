import MeshIdentity
import MeshNode
import TestSupport
import Testing

/// An agent that is asked home after it moved on from the peer it was given to.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct MovedOnTests {
    /// Peers by name, each pair of names paired.
    private static func with(
        _ names: [String], pairs: [(String, String)], _ body: ([String: PeerFixture]) async throws -> Void
    ) async throws {
        let mesh = try await MeshFixture()
        var peers: [String: PeerFixture] = [:]
        for name in names { peers[name] = try await mesh.peer(name) }
        var failure: (any Error)?
        do {
            for (one, other) in pairs {
                let token = try await peers[other]!.token()
                _ = try await peers[one]!.client.call(AcceptPairing(token: token))
            }
            _ = try await peers["a"]!.client.call(CreateSandbox(sandboxName: "x"))
            _ = try await peers["a"]!.chat("one", with: "x")
            try await body(peers)
        } catch { failure = error }
        for peer in peers.values { await peer.stop() }
        await mesh.stop()
        if let failure { throw failure }
    }

    private static func refusal(_ peer: PeerFixture) async throws -> OperationFailure {
        let failure = await #expect(throws: OperationFailure.self) {
            try await peer.client.call(StartHandoff(sandboxName: "x", target: "local"))
        }
        return try #require(failure)
    }

    @Test func itComesStraightFromWhereItLivesNow() async throws {
        try await Self.with(["a", "b", "c"], pairs: [("a", "b"), ("b", "c"), ("a", "c")]) { peers async throws in
            let (a, b, c) = (peers["a"]!, peers["b"]!, peers["c"]!)
            #expect(try await a.handoff("x", to: "b").phase == .complete)
            #expect(try await b.handoff("x", to: "c").phase == .complete)
            #expect(try await a.chat("two", with: "x").remembered.previous == "one")
            let back = try await a.handoff("x", to: "local")
            #expect(back.phase == .complete && back.peer == "c" && back.digestBefore == back.digestAfter)
            #expect(try await a.client.call(SandboxStatus(sandboxName: "x")).status == "running")
            for (number, peer) in [a, b, c].enumerated() {
                #expect(try await peer.chat("more", with: "x").turn == 3 + number)
            }
            // And once more the same way round.
            #expect(try await a.handoff("x", to: "b").phase == .complete)
            #expect(try await b.handoff("x", to: "c").phase == .complete)
            #expect(try await a.handoff("x", to: "local").phase == .complete)
            #expect(try await a.chat("last", with: "x").turn == 6)
        }
    }

    @Test func withoutAPairingThePeerToGoThroughIsNamed() async throws {
        try await Self.with(["a", "b", "c"], pairs: [("a", "b"), ("b", "c")]) { peers async throws in
            let (a, b, c) = (peers["a"]!, peers["b"]!, peers["c"]!)
            #expect(try await a.handoff("x", to: "b").phase == .complete)
            #expect(try await b.handoff("x", to: "c").phase == .complete)
            let refusal = try await Self.refusal(a)
            #expect(refusal.code == .refused && refusal.message.contains("went on from b to did:"))
            #expect(refusal.hint == "bring it to b first: 'kars handoff x --to local' there, then here")
            // Nothing has changed, and what it says works.
            #expect(try await c.client.call(SandboxStatus(sandboxName: "x")).status == "running")
            #expect(try await b.handoff("x", to: "local").phase == .complete)
            #expect(try await a.handoff("x", to: "local").phase == .complete)
            #expect(try await a.chat("two", with: "x").remembered.previous == "one")
        }
    }

    @Test func inALongChainItIsTheLastPeerThatMayBeAsked() async throws {
        let pairs = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "c")]
        try await Self.with(["a", "b", "c", "d"], pairs: pairs) { peers async throws in
            for (from, to) in [("a", "b"), ("b", "c"), ("c", "d")] {
                #expect(try await peers[from]!.handoff("x", to: to).phase == .complete)
            }
            let (a, b) = (peers["a"]!, peers["b"]!)
            #expect(try await Self.refusal(a).hint?.hasPrefix("bring it to c first") == true)
            #expect(try await Self.refusal(b).hint?.hasPrefix("bring it to c first") == true)
            // A pairing that ended is nobody to go through.
            for pairing in try await a.client.call(ListPairings()) {
                _ = try await a.client.call(RevokePairing(pairingName: pairing.name))
            }
            #expect(try await Self.refusal(a).hint?.hasPrefix("pair with that peer") == true)
        }
    }

    @Test func theRecordOfDecisionsGoesAlongAndHoldsOverAllMoves() async throws {
        try await Self.with(["a", "b", "c"], pairs: [("a", "b"), ("b", "c"), ("a", "c")]) { peers async throws in
            let (a, b, c) = (peers["a"]!, peers["b"]!, peers["c"]!)
            #expect(try await a.handoff("x", to: "b").phase == .complete)
            _ = try await b.client.call(
                UpdateCredentials(sandboxName: "x", credentials: ["K": WireBytes([1])], restart: false))
            #expect(try await b.handoff("x", to: "c").phase == .complete)
            #expect(try await a.handoff("x", to: "local").phase == .complete)
            let told = try await a.client.call(CheckAgentAudit(sandboxName: "x"))
            #expect(told.faults.isEmpty)
            #expect(
                told.rows.map(\.action) == [
                    "sandbox:create", "handoff:init", "handoff:restore", "credentials:update", "handoff:init",
                    "handoff:restore", "handoff:init", "handoff:restore",
                ])
            let read = try await a.client.call(
                ReadAudit(sandboxName: "x", filter: .init(tool: "handoff"), last: 2))
            #expect(read.rows == Array(told.rows.suffix(2)))
            let own = try await a.client.call(CheckAudit())
            #expect(own.firstBrokenRow == nil && own.rows > 0)
            // Who wanted it: the operators of a and b, and then a itself, of c.
            let (first, second, third) = (
                try await a.client.call(PeerStatus()).did, try await b.client.call(PeerStatus()).did,
                try await c.client.call(PeerStatus()).did
            )
            #expect(
                told.rows.map(\.agent) == [
                    "operator", "operator", first, "operator", "operator", second, first, third,
                ])
            #expect(told.moves.map(\.epoch) == [2, 3, 4] && told.moves.map(\.row) == [2, 5, 7])
            #expect(told.moves.map(\.giver) == [first, second, third])
            #expect(told.moves.allSatisfy { $0.isKnown == true })
            // What the former homes keep is the beginning of it.
            for (peer, rows) in [(b, 5), (c, 7)] {
                let kept = try await peer.client.call(CheckAgentAudit(sandboxName: "x"))
                #expect(kept.faults.isEmpty && kept.rows == Array(told.rows.prefix(rows)))
            }
        }
    }
}
