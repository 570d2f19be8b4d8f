import FoundationEssentials

/// The identity file of the public kars CLI, to be read once and never written: its key is derived from the
/// host name and the home folder, which anybody on the machine can guess.
enum PublicIdentityFile {
    private struct Fields: Decodable {
        let publicKey: String
        let encryptedPrivateKey: String
        let iv: String
        let authTag: String
        let createdAt: String?
    }

    static func recognizes(_ bytes: [UInt8]) -> Bool {
        (try? JSONCoding.decode(Fields.self, from: bytes)) != nil
    }

    static func open(
        _ bytes: [UInt8], path: String, hostName: String, home: String
    ) throws(IdentityError) -> (Identity, createdAt: String) {
        let fields: Fields
        do {
            fields = try JSONCoding.decode(Fields.self, from: bytes)
        } catch {
            throw .damaged(path: path, reason: JSONCoding.reason(of: error))
        }
        guard let ciphertext = Base64.decode(fields.encryptedPrivateKey),
            let nonce = Base64.decode(fields.iv),
            let tag = Base64.decode(fields.authTag), nonce.count == AESGCM.nonceSize,
            tag.count == AESGCM.tagSize
        else { throw .damaged(path: path, reason: "not base64") }
        var key = SHA256Digest.hash(Array("kars:mesh-identity:\(hostName):\(home)".utf8))
        defer { key.wipe() }
        let plaintext = key.withUnsafeBytes {
            AESGCM.open(ciphertext + tag, key: $0, nonce: nonce, associatedData: [])
        }
        guard let plaintext else {
            throw .damaged(path: path, reason: "it was sealed on another host or under another home folder")
        }
        var content = plaintext.withUnsafeBytes { Array($0) }
        defer { content.wipe() }
        // A form is recognised by the public key that it gives: 64 bytes may be two keys or one in
        // hexadecimal.
        for var seed in seeds(in: content) {
            defer { seed.wipe() }
            let identity = try Identity(seed: SecretBytes(copying: seed))
            if matches(fields.publicKey, identity.publicKey) {
                return (identity, fields.createdAt ?? MeshTimestamp.format(.init(timeIntervalSince1970: 0)))
            }
        }
        throw .damaged(path: path, reason: "no known form of the private key gives the public key")
    }

    /// The start of an Ed25519 key in PKCS #8 (RFC 8410), before its 32 bytes.
    private static let pkcs8Prefix: [UInt8] = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]
    /// The start of an Ed25519 key as SubjectPublicKeyInfo.
    private static let spkiPrefix: [UInt8] = [
        0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
    ]

    /// Raw seed, seed ‖ public key, PKCS #8, or one of these as hex, base64 or PEM.
    private static func seeds(in content: [UInt8]) -> [[UInt8]] {
        let text = String(decoding: content, as: UTF8.self).trimmed
        let lines = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("-----") }
        return [content, Hex.decode(text), Base64.decode(lines.joined())].compactMap {
            $0.flatMap(binarySeed)
        }
    }

    private static func binarySeed(_ bytes: [UInt8]) -> [UInt8]? {
        switch bytes.count {
        case 32: bytes
        case 64: Array(bytes.prefix(32))
        case 48 where bytes.starts(with: pkcs8Prefix): Array(bytes.suffix(32))
        default: nil
        }
    }

    private static func matches(_ text: String, _ key: PublicKey) -> Bool {
        let lines = text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("-----") }
        // An "ed25519:" in front is how one of the plug-ins writes keys.
        let value = lines.joined().split(separator: ":").last.map(String.init) ?? ""
        guard let bytes = Base64.decode(value) ?? Hex.decode(value) else { return false }
        return bytes == key.bytes || Hex.decode(value) == key.bytes || bytes == spkiPrefix + key.bytes
    }
}
