import CommandTree
import Glibc
import MeshIdentity

/// What the node's identity file says while no node runs.
struct StoredIdentity: Encodable, Sendable {
    let did: String
    let amid: String
    let publicKey: PublicKey
    let createdAt: String
    let file: String

    /// - Returns: nil when there is no identity.
    static func find(_ invocation: Invocation) throws -> StoredIdentity? {
        guard let keystore = try keystore(invocation), let facts = keystore.describe() else { return nil }
        return StoredIdentity(
            did: facts.did, amid: facts.amid, publicKey: facts.publicKey, createdAt: facts.createdAt,
            file: keystore.path)
    }

    /// The keystore in `KARS_HOME`; nil when there is no such folder, because looking makes none.
    static func keystore(_ invocation: Invocation) throws -> Keystore? {
        let folder = try KarsHome(invocation.environment).path
        guard access(folder, F_OK) == 0 else { return nil }
        let sealer = try KeySealers.standard(folder: folder, environment: invocation.environment)
        return Keystore(folder: folder, sealer: sealer)
    }
}
