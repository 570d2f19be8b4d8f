import Foundation
import TestSupport
import Testing
import Transport

@testable import MeshIdentity
@testable import MeshNode

/// One-time prekeys of a node process that is killed while KNOCKs arrive.
@Suite(.timeLimit(.minutes(5))) struct PrekeyKillTests {
    private static let rounds = TortureTests.isFull ? 50 : 6

    @Test func noOneTimePrekeyStartsTwoSessionsHoweverOftenTheNodeIsKilled() async throws {
        let mesh = try await ProcessMesh()
        let node = try await NodeProcess("node", mesh)
        try await Stranger.letIn(to: node)
        let did = try DID(parsing: try await node.client.call(PeerStatus()).did)
        let registry = RegistryClient(url: try ServiceURL(parsing: mesh.registryURL), tls: ClientTLS(), loop: mesh.loop)
        var random = SeededRandom(seed: 41)
        var accepted = 0
        for round in 0..<Self.rounds {
            // It hands an address ten prekeys of one agent, and counts anew.
            if round % 8 == 7 { try await mesh.restartRegistry() }
            let bundle = try await registry.prekeyBundle(of: did)
            var strangers: [Stranger] = []
            for _ in 0..<3 { strangers.append(try await Stranger(mesh)) }
            for stranger in strangers.dropLast() { try stranger.knock(did, with: bundle) }
            // Anywhere from before the first KNOCK arrives until after both are answered.
            try await Task.sleep(for: .microseconds(Int.random(in: 0...8_000, using: &random)))
            await node.kill()
            try await node.restart()
            try strangers[2].knock(did, with: bundle)
            // The one whose session was made just before the kill may never hear of it.
            try await waitUntil("all but one are answered", within: .seconds(30)) {
                strangers.filter { $0.isAccepted || $0.isRejected }.count >= 2
            }
            let count = strangers.filter(\.isAccepted).count
            #expect(count <= 1, "round \(round)")
            accepted += count
            // The key stays used, whoever comes.
            let late = try await Stranger(mesh)
            try late.knock(did, with: bundle)
            try await waitUntil("the late one is answered") { late.isRejected || late.isAccepted }
            #expect(late.isRejected, "round \(round)")
            for stranger in strangers + [late] { stranger.stop() }
        }
        #expect(accepted > 0)
        await node.stop()
        await mesh.stop()
    }
}
