import CSodium

/// An Ed25519 public key: the identity itself; DIDs and AMID are names of it.
public struct PublicKey: Sendable, Hashable, Codable, CustomStringConvertible {
    /// Size in bytes.
    public static let size = 32
    /// Size of a signature in bytes.
    public static let signatureSize = 64

    /// The 32 bytes as they travel.
    public let bytes: [UInt8]

    /// Checks the length; a point that no signature can match is refused where it is used.
    public init(bytes: [UInt8]) throws(IdentityError) {
        guard bytes.count == Self.size else { throw .badKey("a public key has 32 bytes, not \(bytes.count)") }
        self.bytes = bytes
    }

    /// Reads base64 of either alphabet.
    public init(base64 text: String) throws(IdentityError) {
        guard text.utf8.count <= 64, let bytes = Base64.decode(text) else { throw .badKey("not base64") }
        try self.init(bytes: bytes)
    }

    /// The name to send: `did:mesh:` (AgentMesh wire §8).
    public var did: DID { DID(mesh: self) }
    /// The specification's name: `did:agentmesh:`.
    public var agentMeshDID: DID { DID(agentMesh: self) }
    /// The name kars shows: base58 of the digest's first 20 bytes.
    public var amid: String { Base58.encode(Array(digest.prefix(20))) }
    /// Unpadded base64url, as registries carry it.
    public var base64URL: String { Base64.encodeURL(bytes) }
    var digest: [UInt8] { SHA256Digest.hash(bytes) }

    /// Whether `signature` was made over `message` by this key's owner. Small-order keys never match.
    public func isValid(signature: [UInt8], over message: [UInt8]) -> Bool {
        guard signature.count == Self.signatureSize else { return false }
        Sodium.ready
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
    }

    /// The X25519 image of this key (AgentMesh wire §1).
    public func x25519() throws(IdentityError) -> [UInt8] {
        Sodium.ready
        var output = [UInt8](repeating: 0, count: X25519.keySize)
        guard crypto_sign_ed25519_pk_to_curve25519(&output, bytes) == 0 else {
            throw .badKey("not a point of the curve's main subgroup")
        }
        return output
    }

    public var description: String { base64URL }

    public init(from decoder: any Decoder) throws {
        try self.init(base64: try decoder.singleValueContainer().decode(String.self))
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(base64URL)
    }
}
