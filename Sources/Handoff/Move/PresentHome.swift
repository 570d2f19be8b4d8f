import MeshIdentity
import MeshNode

/// Finds where an agent lives that moved on from the peer it was given to.
///
/// The registry names the home, whatever the chain of peers before it says or keeps to itself, so nothing is followed
/// from peer to peer and nothing can go round.
struct PresentHome: Sendable {
    /// Former homes that are looked at for a peer to go through, the latest ones.
    private static let maximumHistory = 50

    let services: MoveServices
    let pairings: PairingService

    /// The record with the home that can be asked for the agent; unchanged while it lives where it was given to.
    ///
    /// - Throws: a refused failure, with the peer to go through, when this peer may not ask that home.
    func find(_ sandbox: SandboxRecord) async throws -> SandboxRecord {
        guard var found = try await HomeFence(services: services).correction(of: sandbox), found.home != sandbox.home
        else { return sandbox }
        let trusted = await self.trusted()
        if let pairing = trusted[found.home.did] {
            found.homeName = pairing.peerName ?? pairing.name
            return found
        }
        throw OperationFailure(
            .refused,
            "\(sandbox.name) went on from \(sandbox.homeName) to \(found.home.did), and this peer has no pairing with "
                + "that one which grants handoff",
            hint: await hint(sandbox.name, lineage: sandbox.lineage, trusted))
    }

    /// Peers that may be asked for agents, by name.
    private func trusted() async -> [DID: Pairing] {
        var trusted: [DID: Pairing] = [:]
        for known in (try? await pairings.list()) ?? [] where known.phase == .active {
            guard let key = known.peerKey, let pairing = await pairings.active(with: PeerIdentity(key: key)),
                pairing.capabilities.contains(.handoff)
            else { continue }
            trusted[key.did] = pairing
        }
        return trusted
    }

    private func hint(_ name: String, lineage: DID, _ trusted: [DID: Pairing]) async -> String {
        let homes = (try? await services.registry.latestHomes(of: lineage, limit: Self.maximumHistory)) ?? []
        guard let via = homes.lazy.compactMap({ trusted[$0.home] }).first else {
            return "pair with that peer: 'kars pair generate' there, 'kars pair accept' here"
        }
        return "bring it to \(via.peerName ?? via.name) first: 'kars handoff \(name) --to local' there, then here"
    }
}
