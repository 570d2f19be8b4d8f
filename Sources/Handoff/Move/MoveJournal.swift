import FoundationEssentials
import MeshIdentity
import MeshNode
import Storage

/// One side's record of a move; written before each step acts, so that a crash finds its way (behaviours §6).
struct MoveRecord: Codable, Sendable {
    enum Role: String, Codable, Sendable {
        case giver
        case taker
    }

    var role: Role
    var progress: HandoffProgress
    var peer: PeerIdentity
    var lineage: DID
    /// The epoch this move writes.
    var epoch: Int
    /// The agent's key before and after.
    var oldAgent: DID
    var newAgent: DID?
    /// The giver's certificate for the commit; kept so that a commit can be repeated to the byte.
    var succession: SuccessionCertificate?
    /// The taker's proven copy: set when it promised to keep it.
    var prepared: Prepared?

    struct Prepared: Codable, Sendable {
        var state: MovedState
        var record: SandboxRecord
    }

    var id: String { progress.id }
}

/// The moves of this peer on disk.
struct MoveJournal: Sendable {
    private let database: Database

    init(store: NodeStore) { database = store.database }

    /// Stores a move, or its new state.
    func write(_ record: MoveRecord) async throws { try await store(record, "INSERT OR REPLACE") }

    /// Stores a move unless its own steps have been stored already.
    func writeIfAbsent(_ record: MoveRecord) async throws { try await store(record, "INSERT OR IGNORE") }

    private func store(_ record: MoveRecord, _ insert: String) async throws {
        var record = record
        record.progress.updatedAt = Date()
        let bytes = PeerJSON.encode(record)
        let row = record
        try await database.write {
            try $0.execute(
                insert + " INTO handoff (id, sandbox, role, is_over, record, updated_at) "
                    + "VALUES (?, ?, ?, ?, ?, ?)",
                .text(row.id), .text(row.progress.sandbox), .text(row.role.rawValue),
                SQLValue(row.progress.phase.isOver ? 1 : 0), .blob(bytes),
                SQLValue(Int(Date().timeIntervalSince1970 * 1000)))
        }
    }

    /// Moves that had not ended when this peer stopped.
    func unfinished() async throws -> [MoveRecord] {
        try await records("SELECT record FROM handoff WHERE is_over = 0 ORDER BY updated_at", [])
    }

    /// The newest move of a sandbox, on either side of it.
    func newest(of sandbox: String) async throws -> MoveRecord? {
        try await records(
            "SELECT record FROM handoff WHERE sandbox = ? ORDER BY updated_at DESC LIMIT 1", [.text(sandbox)]
        ).first
    }

    private func records(_ sql: String, _ values: [SQLValue]) async throws -> [MoveRecord] {
        let rows = try await database.read { connection in
            values.isEmpty
                ? try connection.query(sql) { $0.blob(0) } : try connection.query(sql, values[0]) { $0.blob(0) }
        }
        return rows.compactMap { PeerJSON.decode(MoveRecord.self, from: $0) }
    }
}
