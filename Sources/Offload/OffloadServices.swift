import MeshIdentity
import MeshNode
import Observability
import Sandboxes
import Transport

/// What both sides of an offload work with.
struct OffloadServices: Sendable {
    let ledger: OffloadLedger
    let calls: MeshCalls
    let pairings: PairingService
    let sandboxes: SandboxService
    let audit: AuditChain
    let limits: OffloadLimits
    /// The folder of all offloads.
    let folder: String
    let loop: EventLoop
    let logger: Logger

    /// The folder of one; ids of different peers may be the same.
    func folder(of key: OffloadRecord.Key) -> String {
        let peer = Hex.encode(Array(SHA256Digest.hash(key.peer.key.bytes).prefix(8)))
        return "\(folder)/\(key.role.rawValue)/\(peer)-\(key.id)"
    }

    /// Whether the sandbox of an offload's name was made for it, and lives here.
    func owns(_ record: OffloadRecord) async -> Bool {
        guard let sandbox = try? await sandboxes.record(record.sandbox),
            sandbox.home.key == sandboxes.identity.publicKey
        else { return false }
        return OffloadRun.environment(of: record).allSatisfy { sandbox.spec.environment[$0.key] == $0.value }
    }

    /// Records a decision; without it on the disk nothing is done.
    func decided(_ caller: PeerIdentity, _ action: String, _ id: String, isAllowed: Bool) async throws {
        // The id may be a stranger's words.
        let shown = OffloadRecord.isID(id) ? id : "?"
        try await audit.append(
            agent: caller.did.text, action: "offload:\(action):\(shown)", decision: isAllowed ? "allowed" : "denied")
    }
}
