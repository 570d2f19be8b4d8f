import MeshIdentity
import Synchronization

/// The token that every client of a relay must show, if the operator set one (AgentMesh wire §5).
final class SharedToken: Sendable {
    /// SHA-256 of the token: comparing digests hides the length too.
    private let digest: Mutex<[UInt8]?>

    init(_ token: [UInt8]?) { digest = Mutex(token.map(SHA256Digest.hash)) }

    func replace(by token: [UInt8]?) { digest.withLock { $0 = token.map(SHA256Digest.hash) } }

    /// Whether a client's token is the one; true for all while none is asked for.
    func isShown(by token: String?) -> Bool {
        guard let digest = digest.withLock({ $0 }) else { return true }
        guard let token, !token.isEmpty, token.utf8.count <= ConnectFrame.maximumTokenSize else { return false }
        return ConstantTime.equals(SHA256Digest.hash(Array(token.utf8)), digest)
    }
}
