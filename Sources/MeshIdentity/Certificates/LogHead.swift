import FoundationEssentials

/// The state of a registry's log in its own hand: two different ones of the same size prove that it told two stories.
public struct LogHead: Codable, Sendable, Equatable {
    /// Entries.
    public let size: Int
    /// Base64url of the tree's root.
    public let root: String
    /// When it was signed.
    public let timestamp: String
    /// The registry's key.
    public let key: PublicKey
    /// Base64url Ed25519 over `log-head:<key>:<size>:<root>:<timestamp>`.
    public let signature: String

    /// Signs a state.
    public static func make(size: Int, root: [UInt8], signer: Identity, now: Date) -> LogHead {
        let timestamp = MeshTimestamp.format(now), root = Base64.encodeURL(root)
        let text = signedText(key: signer.publicKey, size: size, root: root, timestamp: timestamp)
        return LogHead(
            size: size, root: root, timestamp: timestamp, key: signer.publicKey,
            signature: Base64.encodeURL(signer.sign(text)))
    }

    private static func signedText(key: PublicKey, size: Int, root: String, timestamp: String) -> String {
        "log-head:\(key.base64URL):\(size):\(root):\(timestamp)"
    }

    /// Checks the signature and returns the root.
    func verify() throws(LogError) -> [UInt8] {
        guard size >= 0, timestamp.utf8.count <= FrameLimits.timestamp, MeshTimestamp.parse(timestamp) != nil else {
            throw .malformed("size or timestamp of the head")
        }
        let root = try LogText.hash(self.root)
        let text = Self.signedText(key: key, size: size, root: self.root, timestamp: timestamp)
        guard signature.utf8.count <= 128, let signature = Base64.decode(signature),
            key.isValid(signature: signature, over: Array(text.utf8))
        else { throw .badSignature }
        return root
    }
}

/// Hashes as answers carry them.
enum LogText {
    static func hash(_ text: String) throws(LogError) -> [UInt8] {
        guard text.utf8.count <= 64, let hash = Base64.decode(text), hash.count == MerkleTree.hashSize else {
            throw .malformed("a hash is not base64 of 32 bytes")
        }
        return hash
    }

    static func path(_ texts: [String]) throws(LogError) -> [[UInt8]] {
        guard texts.count <= MerkleTree.maximumPathLength else { throw .malformed("the path is too long") }
        var path: [[UInt8]] = []
        for text in texts { path.append(try hash(text)) }
        return path
    }
}
