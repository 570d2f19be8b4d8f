import CSodium

/// What the index was at some turn: all that a start needs to know of the turns before it.
///
/// It grows with the number of conversations, not with that of turns; those are in ``IndexFiles``.
struct IndexCheckpoint: Equatable {
    /// One conversation, as of its latest turn.
    struct Conversation: Equatable {
        var turns: UInt32
        /// The record of the latest turn.
        var last: UInt32
        /// The record of the latest "remember …".
        var note: UInt32?
    }

    static let maximumBytes = 16 << 20
    private static let magic = Array("kars index 1\n".utf8)
    private static let digestBytes = 32
    private static let none = UInt32.max

    /// Of the files that it belongs to.
    var salt: UInt64
    /// Turns before it.
    var turns: UInt32
    /// Bytes of the journal that hold them, and its digest there.
    var end: UInt64
    var digest: JournalDigest
    /// Request ids before it.
    var ids: UInt64
    /// How many of the latest ids ``idsDigest`` covers.
    var coveredIDs: UInt32
    var idsDigest: [UInt8]
    var conversations: [String: Conversation]

    func encoded() -> [UInt8] {
        var bytes = Self.magic
        bytes.append(integer: salt)
        bytes.append(integer: turns)
        bytes.append(integer: end)
        bytes += digest.bytes
        bytes.append(integer: ids)
        bytes.append(integer: coveredIDs)
        bytes += idsDigest
        bytes.append(integer: UInt32(conversations.count))
        for (name, conversation) in conversations {
            bytes.append(UInt8(name.utf8.count))
            bytes += Array(name.utf8)
            bytes.append(integer: conversation.turns)
            bytes.append(integer: conversation.last)
            bytes.append(integer: conversation.note ?? Self.none)
        }
        return bytes + Self.hash(bytes)
    }

    /// - Returns: nil for what is torn, of another version, or contradicts itself.
    init?(_ bytes: [UInt8]) {
        guard bytes.count > Self.magic.count + Self.digestBytes, bytes.starts(with: Self.magic) else { return nil }
        let body = bytes.dropLast(Self.digestBytes)
        guard Self.hash(Array(body)) == Array(bytes.suffix(Self.digestBytes)) else { return nil }
        var reader = ByteReader(body.dropFirst(Self.magic.count))
        guard let salt = reader.integer(UInt64.self), let turns = reader.integer(UInt32.self), turns > 0,
            let end = reader.integer(UInt64.self), let digest = reader.take(Self.digestBytes),
            let ids = reader.integer(UInt64.self), ids <= turns, let coveredIDs = reader.integer(UInt32.self),
            coveredIDs <= ids, let idsDigest = reader.take(Self.digestBytes),
            let count = reader.integer(UInt32.self)
        else { return nil }
        var conversations: [String: Conversation] = [:]
        var sum: UInt64 = 0
        for _ in 0..<count {
            guard let length = reader.integer(UInt8.self), let name = reader.take(Int(length)),
                let own = reader.integer(UInt32.self), own > 0, let last = reader.integer(UInt32.self), last < turns,
                let note = reader.integer(UInt32.self), note == Self.none || note <= last
            else { return nil }
            let text = String(decoding: name, as: UTF8.self)
            guard ChatRequest.isConversation(text), conversations[text] == nil else { return nil }
            sum += UInt64(own)
            conversations[text] = Conversation(turns: own, last: last, note: note == Self.none ? nil : note)
        }
        guard reader.isAtEnd, sum == turns else { return nil }
        self.init(
            salt: salt, turns: turns, end: end, digest: JournalDigest(bytes: Array(digest)), ids: ids,
            coveredIDs: coveredIDs, idsDigest: Array(idsDigest), conversations: conversations)
    }

    init(
        salt: UInt64, turns: UInt32, end: UInt64, digest: JournalDigest, ids: UInt64, coveredIDs: UInt32,
        idsDigest: [UInt8], conversations: [String: Conversation]
    ) {
        self.salt = salt
        self.turns = turns
        self.end = end
        self.digest = digest
        self.ids = ids
        self.coveredIDs = coveredIDs
        self.idsDigest = idsDigest
        self.conversations = conversations
    }

    /// BLAKE2b-256.
    static func hash(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: digestBytes) { digest, count in
            let status = crypto_generichash(digest.baseAddress!, digestBytes, bytes, UInt64(bytes.count), nil, 0)
            precondition(status == 0, "libsodium refused sizes it documents")
            count = digestBytes
        }
    }
}
