/// Answer of `GET /v1/agents/{did}/prekeys` (AgentMesh wire §3, §7): what starts a session with its owner.
public struct PrekeyBundle: Codable, Sendable, Equatable {
    /// X25519.
    public let identityKey: [UInt8]
    /// Ed25519.
    public let identityKeyEd: [UInt8]
    public let signedPreKey: SignedPrekey
    /// Handed out once; nil when the owner has run out.
    public let oneTimePreKey: OneTimePrekey?

    private enum CodingKeys: String, CodingKey {
        case identityKey = "identity_key"
        case identityKeyEd = "identity_key_ed"
        case signedPreKey = "signed_pre_key"
        case oneTimePreKey = "one_time_pre_key"
    }

    public init(
        identityKey: [UInt8], identityKeyEd: [UInt8], signedPreKey: SignedPrekey,
        oneTimePreKey: OneTimePrekey?
    ) {
        self.identityKey = identityKey
        self.identityKeyEd = identityKeyEd
        self.signedPreKey = signedPreKey
        self.oneTimePreKey = oneTimePreKey
    }

    /// Reads an answer of at most 16 KiB; lengths are checked, signatures are not.
    public static func decode(_ bytes: [UInt8]) throws(SessionError) -> PrekeyBundle {
        guard bytes.count <= 16_384 else { throw .bundle("\(bytes.count) bytes") }
        do {
            return try JSONCoding.decode(PrekeyBundle.self, from: bytes)
        } catch {
            throw .bundle(JSONCoding.reason(of: error))
        }
    }

    /// The answer as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    /// Checks that the keys belong together and to `did`, and that their owner signed the prekey.
    ///
    /// - Returns: the owner's key. The published clients check the signature alone.
    @discardableResult
    public func verify(for did: DID) throws(SessionError) -> PublicKey {
        guard let owner = try? PublicKey(bytes: identityKeyEd) else { throw .bundle("identity_key_ed") }
        guard did.names(owner) else { throw .otherIdentity }
        try verifyPrekeyParts(owner: owner, identityKey: identityKey, signed: signedPreKey)
        guard oneTimePreKey == nil || oneTimePreKey?.publicKey.count == X25519.keySize else {
            throw .bundle("one_time_pre_key")
        }
        return owner
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        identityKey = try object.decodeBase64(.identityKey, count: X25519.keySize)
        identityKeyEd = try object.decodeBase64(.identityKeyEd, count: PublicKey.size)
        signedPreKey = try object.decode(SignedPrekey.self, forKey: .signedPreKey)
        oneTimePreKey = try object.decodeIfPresent(OneTimePrekey.self, forKey: .oneTimePreKey)
    }
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(Base64.encodeURL(identityKey), forKey: .identityKey)
        try object.encode(Base64.encodeURL(identityKeyEd), forKey: .identityKeyEd)
        try object.encode(signedPreKey, forKey: .signedPreKey)
        // Explicitly null when there is none, as the published registry answers.
        try object.encode(oneTimePreKey, forKey: .oneTimePreKey)
    }
}

/// What bundle and upload share: the X25519 key is the owner's, and the owner signed the prekey.
func verifyPrekeyParts(owner: PublicKey, identityKey: [UInt8], signed: SignedPrekey) throws(SessionError) {
    guard let image = try? owner.x25519() else { throw .bundle("identity_key_ed") }
    guard identityKey == image else { throw .otherIdentity }
    guard signed.publicKey.count == X25519.keySize else { throw .bundle("signed_pre_key") }
    guard owner.isValid(signature: signed.signature, over: signed.publicKey) else {
        throw .badPrekeySignature
    }
}
