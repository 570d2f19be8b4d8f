import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Testing

/// A token whose issuer is killed while peers redeem it.
@Suite(.serialized, .timeLimit(.minutes(10))) struct PairingKillTests {
    @Test func killedAnywhereATokenBindsOnePeer() async throws {
        let mesh = try await ProcessMesh()
        let issuer = try await NodeProcess("issuer", mesh)
        let peers = [try await NodeProcess("a", mesh), try await NodeProcess("b", mesh)]
        // One that waits, so that the issuer hears strangers all the time.
        try await Stranger.letIn(to: issuer)
        var random = SeededRandom(seed: TortureTests.seed)
        var bound = 0
        for round in 0..<(TortureTests.isFull ? 30 : 3) {
            let place = "round \(round), seed \(TortureTests.seed)"
            let name = "token-\(round)"
            let token = try await issuer.client.call(
                GeneratePairing(
                    pairingName: name, lifetime: 600, tokenBudget: 0, slots: 1, capabilities: [.handoff], relayURL: nil,
                    registryURL: nil)
            ).token
            let clients = peers.map(\.client)
            let redeeming = Task {
                await withTaskGroup(of: (Int, Bool).self) { group in
                    for (index, client) in clients.enumerated() {
                        group.addTask {
                            // Asked again until there is a word: an answer that was lost is given again.
                            for _ in 0..<4 {
                                do {
                                    _ = try await client.call(AcceptPairing(token: token, pairingName: name))
                                    return (index, true)
                                } catch let failure as OperationFailure where failure.code == .refused {
                                    return (index, false)
                                } catch { continue }
                            }
                            return (index, false)
                        }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
            }
            // Anywhere from before the first request until after both are answered.
            try await Task.sleep(for: .microseconds(Int.random(in: 0...60_000, using: &random)))
            await issuer.kill()
            try await issuer.restart()
            let winners = await redeeming.value.filter(\.1).map(\.0)
            let pairing = try await issuer.client.call(InspectPairing(pairingName: name))
            #expect(winners.count == 1, "\(place)")
            #expect(pairing.phase == .active, "\(place)")
            if let winner = winners.first {
                bound += 1
                #expect(pairing.peerName == peers[winner].name, "\(place)")
                #expect(pairing.peerKey?.did.text == (try await peers[winner].client.call(PeerStatus()).did), "\(place)")
            }
            // Nobody gets it afterwards, whoever was killed when.
            for peer in peers {
                await #expect(throws: OperationFailure.self, "\(place)") {
                    try await peer.client.call(AcceptPairing(token: token, pairingName: "again"))
                }
            }
        }
        #expect(bound > 0)
        for node in peers + [issuer] { await node.stop() }
        await mesh.stop()
    }
}
