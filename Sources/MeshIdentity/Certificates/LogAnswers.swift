/// One entry of a registry's log.
public struct LogEntry: Codable, Sendable, Equatable {
    /// Longest leaf that is read, in bytes.
    public static let maximumLeafBytes = 16_384

    /// From 0.
    public let index: Int
    /// The text that was hashed; JSON of a ``KeyBinding``.
    public let leaf: String

    public init(index: Int, leaf: String) {
        self.index = index
        self.leaf = leaf
    }
}

/// Answer of `GET /v1/log/entries`.
public struct LogPage: Codable, Sendable, Equatable {
    public let entries: [LogEntry]
    /// Entries in all.
    public let size: Int

    public init(entries: [LogEntry], size: Int) {
        self.entries = entries
        self.size = size
    }
}

/// Answer of `GET /v1/log/proof`: the newest entry about a DID, and that it is in the log.
public struct LogProof: Codable, Sendable, Equatable {
    public let entry: LogEntry
    /// Base64url hashes, leaf side first.
    public let path: [String]
    public let head: LogHead

    public init(entry: LogEntry, path: [[UInt8]], head: LogHead) {
        self.entry = entry
        self.path = path.map(Base64.encodeURL)
        self.head = head
    }

    /// Checks everything and returns what the registry said of `did`.
    ///
    /// The head's key is the caller's to judge: ``LogWitness`` does.
    public func verify(about did: DID) throws(LogError) -> KeyBinding {
        let root = try head.verify()
        let leaf = MerkleTree.leaf(Array(entry.leaf.utf8))
        guard
            MerkleTree.proves(
                leaf: leaf, index: entry.index, size: head.size, path: try LogText.path(path), root: root)
        else { throw .notIncluded }
        let binding = try KeyBinding.read(entry.leaf)
        try binding.verify()
        guard binding.subjects.contains(did.canonical) else { throw .otherSubject }
        return binding
    }
}

/// Answer of `GET /v1/log/consistency`: that the log of `from` entries is the beginning of the one of `to`.
public struct LogConsistency: Codable, Sendable, Equatable {
    public let from: Int
    public let to: Int
    /// Base64url hashes.
    public let path: [String]

    public init(from: Int, to: Int, path: [[UInt8]]) {
        self.from = from
        self.to = to
        self.path = path.map(Base64.encodeURL)
    }
}
