/// The name of a key: `did:mesh:<32 hex digits>`, `did:agentmesh:<base58>` or a bare AMID (AgentMesh wire
/// §1).
///
/// All three carry a prefix of the same digest, so two names of one key are equal whatever their form;
/// ``text`` keeps the form that was read.
public struct DID: Sendable, Hashable, Comparable, CustomStringConvertible, Codable {
    /// What all forms share: the first 16 bytes of SHA-256 of the key.
    static let fingerprintSize = 16
    private static let longDigestSize = 20
    private static let meshPrefix = "did:mesh:"
    private static let agentMeshPrefix = "did:agentmesh:"

    /// As it was read or made.
    public let text: String
    private let digest: [UInt8]  // 16 or 20 bytes

    /// Reads any of the three forms.
    public init(parsing text: String) throws(IdentityError) {
        guard text.utf8.count <= 64 else { throw .badDID(text) }
        if text.hasPrefix(Self.meshPrefix) {
            let digits = text.utf8.dropFirst(Self.meshPrefix.utf8.count)
            guard digits.count == 2 * Self.fingerprintSize,
                !digits.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "F")).contains($0) }),
                let digest = Hex.decode(String(text.dropFirst(Self.meshPrefix.count)))
            else { throw .badDID(text) }
            self.digest = digest
        } else {
            let amid =
                text.hasPrefix(Self.agentMeshPrefix)
                ? String(text.dropFirst(Self.agentMeshPrefix.count)) : text
            guard let digest = Base58.decode(amid), digest.count == Self.longDigestSize else {
                throw .badDID(text)
            }
            self.digest = digest
        }
        self.text = text
    }

    /// `did:mesh:` of a key: the form to send (AgentMesh wire §8).
    init(mesh key: PublicKey) {
        digest = Array(key.digest.prefix(Self.fingerprintSize))
        text = Self.meshPrefix + Hex.encode(digest)
    }

    /// `did:agentmesh:` of a key.
    init(agentMesh key: PublicKey) {
        digest = Array(key.digest.prefix(Self.longDigestSize))
        text = Self.agentMeshPrefix + Base58.encode(digest)
    }

    /// The same name in the form `did:mesh:`.
    public var canonical: String { Self.meshPrefix + Hex.encode(Array(digest.prefix(Self.fingerprintSize))) }

    /// Whether this is a name of `key`, all of the digest compared.
    public func names(_ key: PublicKey) -> Bool { key.digest.starts(with: digest) }

    public var description: String { text }

    public static func == (left: DID, right: DID) -> Bool {
        left.fingerprint.elementsEqual(right.fingerprint)
    }
    public static func < (left: DID, right: DID) -> Bool {
        left.fingerprint.lexicographicallyPrecedes(right.fingerprint)
    }
    public func hash(into hasher: inout Hasher) {
        for byte in fingerprint { hasher.combine(byte) }
    }
    private var fingerprint: ArraySlice<UInt8> { digest.prefix(Self.fingerprintSize) }

    public init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
