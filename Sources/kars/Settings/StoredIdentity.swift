import CommandTree
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
        let folder = try KarsHome(invocation.environment).path
        guard let facts = Keystore.describe(folder: folder) else { return nil }
        return StoredIdentity(
            did: facts.did, amid: facts.amid, publicKey: facts.publicKey, createdAt: facts.createdAt,
            file: Keystore.path(in: folder))
    }
}
