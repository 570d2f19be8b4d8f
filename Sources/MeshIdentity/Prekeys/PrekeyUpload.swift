/// Body of `PUT /v1/agents/{did}/prekeys` (AgentMesh wire §7).
public struct PrekeyUpload: Codable, Sendable, Equatable {
    /// Most one-time prekeys in one upload.
    public static let maximumOneTime = 200
    /// Largest body in bytes.
    public static let maximumSize = 65_536

    /// X25519.
    public let identityKey: [UInt8]
    /// Ed25519.
    public let identityKeyEd: [UInt8]
    public let signedPreKey: SignedPrekey
    public let oneTimePreKeys: [OneTimePrekey]

    private enum CodingKeys: String, CodingKey {
        case identityKey = "identity_key"
        case identityKeyEd = "identity_key_ed"
        case signedPreKey = "signed_pre_key"
        case oneTimePreKeys = "one_time_pre_keys"
    }

    init(
        identityKey: [UInt8], identityKeyEd: [UInt8], signedPreKey: SignedPrekey,
        oneTimePreKeys: [OneTimePrekey]
    ) {
        self.identityKey = identityKey
        self.identityKeyEd = identityKeyEd
        self.signedPreKey = signedPreKey
        self.oneTimePreKeys = oneTimePreKeys
    }

    /// Reads a body; lengths are checked, signatures are not.
    public static func decode(_ bytes: [UInt8]) throws(SessionError) -> PrekeyUpload {
        guard bytes.count <= maximumSize else { throw .bundle("\(bytes.count) bytes") }
        do {
            return try JSONCoding.decode(PrekeyUpload.self, from: bytes)
        } catch {
            throw .bundle(JSONCoding.reason(of: error))
        }
    }

    /// The body as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    /// What the registry checks before it stores: the keys are `owner`'s, the prekey is signed, identifiers
    /// are unique.
    public func verify(for owner: PublicKey) throws(SessionError) {
        guard identityKeyEd == owner.bytes else { throw .otherIdentity }
        try verifyPrekeyParts(owner: owner, identityKey: identityKey, signed: signedPreKey)
        guard oneTimePreKeys.count <= Self.maximumOneTime else { throw .bundle("too many one_time_pre_keys") }
        guard Set(oneTimePreKeys.map(\.keyID)).count == oneTimePreKeys.count else {
            throw .bundle("repeated key_id in one_time_pre_keys")
        }
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        identityKey = try object.decodeBase64(.identityKey, count: X25519.keySize)
        identityKeyEd = try object.decodeBase64(.identityKeyEd, count: PublicKey.size)
        signedPreKey = try object.decode(SignedPrekey.self, forKey: .signedPreKey)
        oneTimePreKeys = try object.decodeIfPresent([OneTimePrekey].self, forKey: .oneTimePreKeys) ?? []
    }
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(Base64.encodeURL(identityKey), forKey: .identityKey)
        try object.encode(Base64.encodeURL(identityKeyEd), forKey: .identityKeyEd)
        try object.encode(signedPreKey, forKey: .signedPreKey)
        try object.encode(oneTimePreKeys, forKey: .oneTimePreKeys)
    }
}
