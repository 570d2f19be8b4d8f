import FoundationEssentials
import MeshIdentity
import MeshNode
import Resources

/// The peers beside the agents of a cluster, and what the controller says to them.
struct PodPeers: Sendable {
    /// The pairing with a pod's node lasts as long as the pod may.
    private static let pairingLifetime = 3_650 * 86_400

    let calls: MeshCalls
    let pairings: PairingService
    let settings: ClusterSettings

    /// The node of a sandbox's pod, once it has paired; nil before.
    func peer(of sandbox: String) async -> PeerIdentity? {
        guard let pairing = try? await pairings.inspect(ClusterNames.pairing(of: sandbox)), pairing.phase == .active else {
            return nil
        }
        return pairing.peerKey.map(PeerIdentity.init(key:))
    }

    /// Whether there is a pairing with the node, or a token that it can still redeem.
    func isExpected(_ sandbox: String) async throws -> Bool {
        do {
            let phase = try await pairings.inspect(ClusterNames.pairing(of: sandbox)).phase
            return phase == .active || phase == .pending
        } catch let failure as OperationFailure where failure.code == .notFound { return false }
    }

    /// A token for the node of a new pod, in place of any before.
    func makeToken(for sandbox: String) async throws -> String {
        try await forget(sandbox)
        return try await pairings.generate(
            GeneratePairing(
                pairingName: ClusterNames.pairing(of: sandbox), lifetime: Self.pairingLifetime, tokenBudget: 0, slots: 1,
                capabilities: [.handoff], relayURL: settings.relay, registryURL: settings.registry)).token
    }

    func forget(_ sandbox: String) async throws {
        do { _ = try await pairings.remove(ClusterNames.pairing(of: sandbox)) } catch let failure as OperationFailure
        where failure.code == .notFound {}
    }

    /// Asks the node of a sandbox.
    ///
    /// - Throws: `unavailable` while it has not joined the mesh.
    func ask<Operation: PeerOperation>(_ operation: Operation, of sandbox: String) async throws -> Operation.Answer {
        guard let peer = await peer(of: sandbox) else {
            throw OperationFailure(
                .unavailable, "the pod of \(sandbox) has not joined the mesh yet",
                hint: "'kubectl --namespace \(ClusterNames.namespace(of: sandbox)) get pods' shows why")
        }
        return try await calls.call(operation, of: peer)
    }
}
