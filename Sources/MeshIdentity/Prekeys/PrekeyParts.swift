/// A signed prekey as it is published (AgentMesh wire §3).
public struct SignedPrekey: Codable, Sendable, Equatable {
    public let keyID: Int
    /// X25519, 32 bytes.
    public let publicKey: [UInt8]
    /// Ed25519 by the owner over the 32 raw bytes.
    public let signature: [UInt8]

    private enum CodingKeys: String, CodingKey {
        case signature
        case keyID = "key_id"
        case publicKey = "public_key"
    }

    public init(keyID: Int, publicKey: [UInt8], signature: [UInt8]) {
        self.keyID = keyID
        self.publicKey = publicKey
        self.signature = signature
    }
    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        keyID = try object.decode(Int.self, forKey: .keyID)
        publicKey = try object.decodeBase64(.publicKey, count: X25519.keySize)
        signature = try object.decodeBase64(.signature, count: PublicKey.signatureSize)
    }
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(keyID, forKey: .keyID)
        try object.encode(Base64.encodeURL(publicKey), forKey: .publicKey)
        try object.encode(Base64.encodeURL(signature), forKey: .signature)
    }
}

/// A one-time prekey as it is published.
public struct OneTimePrekey: Codable, Sendable, Equatable {
    public let keyID: Int
    /// X25519, 32 bytes.
    public let publicKey: [UInt8]

    private enum CodingKeys: String, CodingKey {
        case keyID = "key_id"
        case publicKey = "public_key"
    }

    public init(keyID: Int, publicKey: [UInt8]) {
        self.keyID = keyID
        self.publicKey = publicKey
    }
    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        keyID = try object.decode(Int.self, forKey: .keyID)
        publicKey = try object.decodeBase64(.publicKey, count: X25519.keySize)
    }
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(keyID, forKey: .keyID)
        try object.encode(Base64.encodeURL(publicKey), forKey: .publicKey)
    }
}
