import FoundationEssentials
import MeshIdentity
import Storage

/// The log of key bindings: entries, and the hashes of all complete subtrees, so that neither an append nor a proof
/// reads more than some dozen rows.
extension SQLiteRegistryStore {
    /// Appends in the transaction of the change that the entry tells of.
    static func append(_ binding: KeyBinding, on connection: Connection) throws {
        let position = try logSize(on: connection)
        let leaf = binding.leaf
        try connection.execute(
            "INSERT INTO log_entry (position, leaf) VALUES (?, ?)", SQLValue(position), .text(leaf))
        for subject in binding.subjects {
            try connection.execute(
                "INSERT INTO log_subject (did, position) VALUES (?, ?)", .blob(try DID(parsing: subject).rowKey),
                SQLValue(position))
        }
        var hash = MerkleTree.leaf(Array(leaf.utf8)), level = 0, at = position
        while true {
            try connection.execute(
                "INSERT INTO log_node (level, position, hash) VALUES (?, ?, ?)", SQLValue(level), SQLValue(at),
                .blob(hash))
            // A right child completes the subtree above it.
            guard !at.isMultiple(of: 2) else { return }
            hash = MerkleTree.node(try subtree(level, at - 1, on: connection), hash)
            level += 1
            at >>= 1
        }
    }

    private static func logSize(on connection: Connection) throws -> Int {
        try connection.first("SELECT max(position) + 1 FROM log_entry") { $0.int(0) } ?? 0
    }

    private static func subtree(_ level: Int, _ position: Int, on connection: Connection) throws -> [UInt8] {
        let hash = try connection.first(
            "SELECT hash FROM log_node WHERE level = ? AND position = ?", SQLValue(level), SQLValue(position)
        ) { $0.blob(0) }
        guard let hash else { throw LogDamaged(level: level, position: position) }
        return hash
    }

    private struct LogDamaged: Error, CustomStringConvertible {
        let level: Int
        let position: Int
        var description: String { "the log lacks the hash of subtree \(position) of level \(level)" }
    }

    /// Entries are never changed, so what is read for a size stays true while others are appended.
    private static func root(_ size: Int, on connection: Connection) throws -> [UInt8] {
        try MerkleTree.root(size: size) { try subtree($0, $1, on: connection) }
    }

    func logState() async throws -> LogState {
        try await database.read { connection in
            let size = try Self.logSize(on: connection)
            return LogState(size: size, root: try Self.root(size, on: connection))
        }
    }

    func logPage(start: Int, limit: Int) async throws -> LogPage {
        try await database.read { connection in
            let size = try Self.logSize(on: connection)
            let entries = try connection.query(
                "SELECT position, leaf FROM log_entry WHERE position >= ? ORDER BY position LIMIT ?",
                SQLValue(start), SQLValue(limit)
            ) { LogEntry(index: $0.int(0), leaf: $0.text(1)) }
            return LogPage(entries: entries.filter { $0.index < size }, size: size)
        }
    }

    func logInclusion(of did: DID, kind: KeyBinding.Kind?) async throws -> LogInclusion? {
        try await database.read { connection in
            let entry = try connection.first(
                """
                SELECT e.position, e.leaf FROM log_subject s JOIN log_entry e ON e.position = s.position
                WHERE s.did = ?1 AND (?2 IS NULL OR json_extract(e.leaf, '$.kind') = ?2
                    OR ?2 = 'home' AND json_extract(e.leaf, '$.kind') = 'succession')
                ORDER BY s.position DESC LIMIT 1
                """,
                .blob(did.rowKey), kind.map { .text($0.rawValue) } ?? .null
            ) { LogEntry(index: $0.int(0), leaf: $0.text(1)) }
            guard let entry else { return nil }
            let size = try Self.logSize(on: connection)
            return LogInclusion(
                entry: entry,
                path: try MerkleTree.inclusionPath(index: entry.index, size: size) {
                    try Self.subtree($0, $1, on: connection)
                }, state: LogState(size: size, root: try Self.root(size, on: connection)))
        }
    }

    func logConsistency(from: Int, to: Int) async throws -> LogConsistency? {
        try await database.read { connection in
            guard from <= to, to <= (try Self.logSize(on: connection)) else { return nil }
            let path = try MerkleTree.consistencyPath(old: from, size: to) {
                try Self.subtree($0, $1, on: connection)
            }
            return LogConsistency(from: from, to: to, path: path)
        }
    }

    /// Enters the agents of a store that is older than its log.
    func startLog(now: Date) throws {
        try database.writeBlocking { connection in
            guard try Self.logSize(on: connection) == 0 else { return }
            let keys = try connection.query("SELECT key FROM agent ORDER BY id") { try PublicKey(bytes: $0.blob(0)) }
            for key in keys { try Self.append(.registration(of: key, at: now), on: connection) }
        }
    }
}

/// How long the log is, and the root over all of it.
struct LogState: Sendable, Equatable {
    let size: Int
    let root: [UInt8]
}

/// The newest entry about an agent and its path to the root.
struct LogInclusion: Sendable, Equatable {
    let entry: LogEntry
    let path: [[UInt8]]
    let state: LogState
}
