/// Something sealed for the disk: AES-256-GCM with a random nonce (design decision 7).
public struct SealedBox: Codable, Sendable, Equatable {
    /// The only version there is.
    public static let currentVersion = 1

    public let version: Int
    /// Names the key that sealed it, so that a wrong key is told from damage.
    public let keyID: String
    /// 12 bytes.
    public let nonce: [UInt8]
    /// Ciphertext and 16-byte tag.
    public let ciphertext: [UInt8]

    init(keyID: String, nonce: [UInt8], ciphertext: [UInt8]) {
        version = Self.currentVersion
        self.keyID = keyID
        self.nonce = nonce
        self.ciphertext = ciphertext
    }

    private enum CodingKeys: String, CodingKey { case version, keyID, nonce, ciphertext }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        version = try object.decode(Int.self, forKey: .version)
        guard version == Self.currentVersion else {
            throw DecodingError.dataCorruptedError(
                forKey: .version, in: object, debugDescription: "version \(version)")
        }
        keyID = try object.decodeText(.keyID, limit: 128)
        nonce = try object.decodeBase64(.nonce, count: AESGCM.nonceSize)
        let text = try object.decode(String.self, forKey: .ciphertext)
        guard let bytes = Base64.decode(text), bytes.count >= AESGCM.tagSize else {
            throw DecodingError.dataCorruptedError(
                forKey: .ciphertext, in: object, debugDescription: "not a box")
        }
        ciphertext = bytes
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(version, forKey: .version)
        try object.encode(keyID, forKey: .keyID)
        try object.encode(Base64.encode(nonce), forKey: .nonce)
        try object.encode(Base64.encode(ciphertext), forKey: .ciphertext)
    }

    /// Compact form for database columns: version, length of the key's name, its name, nonce, ciphertext.
    public func encoded() -> [UInt8] {
        let name = Array(keyID.utf8.prefix(255))
        return [UInt8(version), UInt8(name.count)] + name + nonce + ciphertext
    }

    /// Reads the compact form.
    public init(encoded bytes: [UInt8]) throws(IdentityError) {
        guard bytes.count >= 2, bytes[0] == UInt8(Self.currentVersion) else { throw .tampered }
        let nameEnd = 2 + Int(bytes[1])
        let nonceEnd = nameEnd + AESGCM.nonceSize
        guard bytes.count >= nonceEnd + AESGCM.tagSize,
            let name = String(validating: bytes[2..<nameEnd], as: UTF8.self)
        else { throw .tampered }
        self.init(keyID: name, nonce: Array(bytes[nameEnd..<nonceEnd]), ciphertext: Array(bytes[nonceEnd...]))
    }
}
