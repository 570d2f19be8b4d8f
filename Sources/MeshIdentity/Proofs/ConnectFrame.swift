import FoundationEssentials

/// The first frame to a relay, with the proof that the sender holds the key (AgentMesh wire §5).
///
/// Absent fields read as empty, so that the relay can say which one it misses; ``verify(now:)`` refuses them.
public struct ConnectFrame: Codable, Sendable {
    public var v: Int
    public var type: String
    /// A DID of ``publicKey``.
    public var from: String
    /// Base64 of either alphabet.
    public var publicKey: String
    /// ISO 8601 with zone; the text is what is signed.
    public var timestamp: String
    /// Base64 of either alphabet.
    public var signature: String
    /// Entra token or shared secret.
    public var token: String?
    public var supportedVersions: [Int]?

    /// Longest accepted token in bytes (AgentMesh wire §5).
    public static let maximumTokenSize = 16_384

    /// Proves `identity` at the time `now`.
    public static func make(identity: Identity, now: Date, token: String? = nil) -> ConnectFrame {
        let timestamp = MeshTimestamp.format(now)
        return ConnectFrame(
            v: 1, type: "connect", from: identity.did.text,
            publicKey: Base64.encode(identity.publicKey.bytes),
            timestamp: timestamp, signature: Base64.encode(identity.sign(timestamp)), token: token,
            supportedVersions: nil)
    }

    /// Reads a frame; the type is not checked.
    public static func decode(_ bytes: [UInt8]) throws(FrameError) -> ConnectFrame {
        guard bytes.count <= 65_536 else { throw .tooLarge(bytes.count, limit: 65_536) }
        do {
            return try JSONCoding.decode(ConnectFrame.self, from: bytes)
        } catch {
            throw .malformed(JSONCoding.reason(of: error))
        }
    }

    /// The frame as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    /// The proven key.
    ///
    /// - Throws: what is wrong with name, key, time or signature; the token is the relay's matter.
    public func verify(now: Date) throws(ProofError) -> PublicKey {
        let did = try ProofWindow.name(from, field: "from")
        let key = try ProofWindow.key(publicKey)
        guard !timestamp.isEmpty else { throw .missing("timestamp") }
        let signature = try ProofWindow.signature(signature)
        try ProofWindow.check(timestamp, now: now)
        guard did.names(key) else { throw .keyMismatch }
        guard key.isValid(signature: signature, over: Array(timestamp.utf8)) else { throw .badSignature }
        return key
    }

    private enum CodingKeys: String, CodingKey {
        case v, type, from, timestamp, signature, token, auth
        case publicKey = "public_key"
        case supportedVersions = "supported_versions"
    }
    private enum AuthKeys: String, CodingKey {
        case timestamp, signature
        case publicKey = "public_key"
    }

    init(
        v: Int, type: String, from: String, publicKey: String, timestamp: String, signature: String,
        token: String?,
        supportedVersions: [Int]?
    ) {
        self.v = v
        self.type = type
        self.from = from
        self.publicKey = publicKey
        self.timestamp = timestamp
        self.signature = signature
        self.token = token
        self.supportedVersions = supportedVersions
    }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        v = try frame.decodeIfPresent(Int.self, forKey: .v) ?? 1
        type = try frame.decodeTextIfPresent(.type, limit: 64) ?? ""
        from = try frame.decodeTextIfPresent(.from, limit: 256) ?? ""
        token = try frame.decodeTextIfPresent(.token, limit: Self.maximumTokenSize * 2)
        // A list of another element type is no reason to refuse: only version 1 exists.
        supportedVersions = try? frame.decodeIfPresent([Int].self, forKey: .supportedVersions)
        // The specification nests the proof, every implementation sends it flat (AgentMesh wire §8).
        let nested: KeyedDecodingContainer<AuthKeys>? =
            frame.contains(.auth) ? try? frame.nestedContainer(keyedBy: AuthKeys.self, forKey: .auth) : nil
        publicKey =
            try frame.decodeTextIfPresent(.publicKey, limit: 256)
            ?? nested?.decodeTextIfPresent(.publicKey, limit: 256) ?? ""
        timestamp =
            try frame.decodeTextIfPresent(.timestamp, limit: 256)
            ?? nested?.decodeTextIfPresent(.timestamp, limit: 256) ?? ""
        signature =
            try frame.decodeTextIfPresent(.signature, limit: 256)
            ?? nested?.decodeTextIfPresent(.signature, limit: 256) ?? ""
    }

    public func encode(to encoder: any Encoder) throws {
        var frame = encoder.container(keyedBy: CodingKeys.self)
        try frame.encode(v, forKey: .v)
        try frame.encode(type, forKey: .type)
        try frame.encode(from, forKey: .from)
        try frame.encode(publicKey, forKey: .publicKey)
        try frame.encode(timestamp, forKey: .timestamp)
        try frame.encode(signature, forKey: .signature)
        try frame.encodeIfPresent(token, forKey: .token)
        try frame.encodeIfPresent(supportedVersions, forKey: .supportedVersions)
    }
}
