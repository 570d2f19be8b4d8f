import Foundation
import MeshIdentity
import TestSupport
import Testing
import Transport

@testable import MeshNode

/// The ceremony between two real nodes, over relay and registry.
struct PairingTests {
    @Test func aTokenPairsOncePeerAndNeverAgain() async throws {
        let mesh = try await MeshFixture()
        let cloud = try await mesh.peer("cloud"), first = try await mesh.peer("first")
        let second = try await mesh.peer("second")
        let token = try await cloud.token()
        _ = try await cloud.token()  // one that waits, so that the door stays open for strangers
        let pairing = try await first.client.call(AcceptPairing(token: token))
        #expect(pairing.phase == .active && pairing.name == "cloud")
        for peer in [first, second] {
            await #expect { try await peer.client.call(AcceptPairing(token: token)) } throws: {
                let failure = $0 as? OperationFailure
                return failure?.code == .refused && failure?.message.contains("used already") == true
            }
        }
        let issued = try await cloud.client.call(ListPairings())
        #expect(issued.filter { $0.phase == .active }.map(\.peerName) == ["first"])
        #expect(try await second.client.call(ListPairings()).isEmpty)
        for peer in [cloud, first, second] { await peer.stop() }
        await mesh.stop()
    }

    @Test func anExpiredTokenIsRefusedByItsIssuer() async throws {
        let mesh = try await MeshFixture()
        let cloud = try await mesh.peer("cloud"), local = try await mesh.peer("local")
        let text = try await cloud.token(lifetime: 1)
        let token = try PairingToken(parsing: text)
        try await waitUntil("the token has expired") { token.expiresAt < Date() }
        await #expect { try await local.client.call(AcceptPairing(token: text)) } throws: {
            ($0 as? OperationFailure)?.message.contains("expired") == true
        }
        // The issuer decides, whatever the token says of itself.
        let forged = try Self.changing(text) { $0["expires_at"] = "2100-01-01T00:00:00.000Z" }
        await #expect { try await local.client.call(AcceptPairing(token: forged)) } throws: {
            ($0 as? OperationFailure)?.code == .refused
        }
        #expect(try await local.client.call(ListPairings()).isEmpty)
        for peer in [cloud, local] { await peer.stop() }
        await mesh.stop()
    }

    @Test func aTokenWithAnotherPeersKeyBindsNothing() async throws {
        let mesh = try await MeshFixture()
        let cloud = try await mesh.peer("cloud"), local = try await mesh.peer("local")
        let other = try await mesh.peer("other")
        // Another peer with a pending token of its own, so that it talks to strangers at all.
        let otherToken = try PairingToken(parsing: try await other.token())
        let token = try Self.changing(try await cloud.token()) {
            $0["controller_key"] = Base64.encodeURL(otherToken.controllerKey.bytes)
            $0["controller_amid"] = otherToken.controllerAMID
        }
        await #expect { try await local.client.call(AcceptPairing(token: token)) } throws: {
            ($0 as? OperationFailure)?.message.contains("not known") == true
        }
        #expect(try await local.client.call(ListPairings()).isEmpty)
        #expect(try await cloud.client.call(ListPairings()).allSatisfy { $0.phase == .pending })
        #expect(try await other.client.call(ListPairings()).allSatisfy { $0.phase == .pending })
        for peer in [cloud, local, other] { await peer.stop() }
        await mesh.stop()
    }

    @Test func aRevokedPeerPairsWithNobodyAnyMore() async throws {
        let mesh = try await MeshFixture()
        let (revoked, other) = (try await mesh.peer("revoked"), try await mesh.peer("other"))
        let token = try await other.token()
        let answer = try await revoked.client.call(RevokeIdentity(reason: "stolen"))
        let failure = await #expect(throws: OperationFailure.self) {
            try await revoked.client.call(AcceptPairing(token: token))
        }
        #expect(failure?.message.contains("revoked") == true, "\(String(describing: failure))")
        #expect(try await other.client.call(ListPairings()).map(\.phase) == [.pending])
        #expect(answer.did.hasPrefix("did:mesh:"))
        await revoked.stop()
        await other.stop()
        await mesh.stop()
    }

    @Test func aStrangerGetsNoSessionWithoutAPendingToken() async throws {
        let mesh = try await MeshFixture()
        let (local, cloud) = try await mesh.pairedPeers()
        let stranger = try await mesh.peer("stranger")
        // All tokens of the cloud are used, so its door is shut.
        let used = try await cloud.token()
        _ = try await cloud.client.call(
            RevokePairing(pairingName: try #require(
                try await cloud.client.call(ListPairings()).first { $0.phase == .pending }?.name)))
        await #expect { try await stranger.client.call(AcceptPairing(token: used)) } throws: {
            ($0 as? OperationFailure)?.code == .refused
        }
        for peer in [local, cloud, stranger] { await peer.stop() }
        await mesh.stop()
    }

    @Test func aNodeRedeemsTheTokenItWasStartedWithAndStaysPairedOverKills() async throws {
        let mesh = try await ProcessMesh()
        let cloud = try await NodeProcess("cloud", mesh)
        let token = try await cloud.client.call(
            GeneratePairing(
                pairingName: "laptop", lifetime: 600, tokenBudget: 1000, slots: 1, capabilities: [.handoff],
                relayURL: nil, registryURL: nil)
        ).token
        let file = mesh.folder.file("token")
        try Data((token + "\n").utf8).write(to: URL(fileURLWithPath: file))
        let local = try await NodeProcess("local", mesh, arguments: ["--pairing-token-file", file])
        try await waitUntil("they are paired", within: .seconds(40)) {
            try await local.client.call(ListPairings()).map(\.phase) == [.active]
        }
        // Started again with a token that is used by now: nothing is lost and nothing is made twice.
        for node in [cloud, local] {
            await node.kill()
            try await node.restart()
        }
        #expect(try await local.client.call(ListPairings()).map(\.phase) == [.active])
        #expect(try await cloud.client.call(ListPairings()).map(\.peerName) == ["local"])
        for node in [local, cloud] { await node.stop() }
        await mesh.stop()
    }

    @Test func aNodeThatWantsSignedKnocksHearsNoOthers() async throws {
        let mesh = try await ProcessMesh()
        for (arguments, isHeard) in [([], true), (["--require-signed-knocks"], false)] {
            let node = try await NodeProcess("node-\(isHeard)", mesh, arguments: arguments)
            try await Stranger.letIn(to: node)
            let did = try DID(parsing: try await node.client.call(PeerStatus()).did)
            let registry = RegistryClient(
                url: try ServiceURL(parsing: mesh.registryURL), tls: ClientTLS(), loop: mesh.loop)
            let (published, ours) = (try await Stranger(mesh), try await Stranger(mesh))
            try published.knock(did, with: try await registry.prekeyBundle(of: did)) {
                ($0.signature, $0.publicKey, $0.binding) = (nil, nil, nil)
            }
            try ours.knock(did, with: try await registry.prekeyBundle(of: did))
            try await waitUntil("both are answered") {
                [published, ours].allSatisfy { $0.isAccepted || $0.isRejected }
            }
            #expect(ours.isAccepted)
            #expect(published.rejection == (isHeard ? nil : "signature_required"))
            for stranger in [published, ours] { stranger.stop() }
            await node.stop()
        }
        await mesh.stop()
    }

    /// A token with some fields changed.
    static func changing(_ token: String, _ change: (inout [String: String]) -> Void) throws -> String {
        let body = try #require(Base64.decode(String(token.dropFirst(PairingToken.prefix.count))))
        var fields = try JSONDecoder().decode([String: String].self, from: Data(body))
        change(&fields)
        return PairingToken.prefix + Base64.encodeURL(Array(try JSONEncoder().encode(fields)))
    }
}
