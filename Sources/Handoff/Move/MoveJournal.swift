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
    /// The taker has the agent's credentials, so that the giver can forget them.
    var hasSentCredentials: Bool?
    /// What the taker makes of its proven copy: set when it promised to keep it.
    var prepared: SandboxRecord?

    var id: String { progress.id }
}

/// The moves of this peer on disk, and the keys and tokens of agents on their way here, sealed.
struct MoveJournal: Sendable {
    /// Moves that are over and kept for the record; older ones go.
    static let keptMoves = 1_000

    private let store: NodeStore
    private var database: Database { store.database }

    init(store: NodeStore) { self.store = store }

    /// Stores a move, or its new state. One that is over stays over, whatever comes late.
    func write(_ record: MoveRecord) async throws {
        try await put(
            record,
            " ON CONFLICT (id) DO UPDATE SET is_over = excluded.is_over, record = excluded.record, "
                + "updated_at = excluded.updated_at WHERE handoff.is_over = 0 OR excluded.is_over = 1")
    }

    /// Stores a move unless its own steps have been stored already.
    func writeIfAbsent(_ record: MoveRecord) async throws { try await put(record, " ON CONFLICT (id) DO NOTHING") }

    private func put(_ record: MoveRecord, _ conflict: String) async throws {
        var record = record
        record.progress.updatedAt = Date()
        let bytes = PeerJSON.encode(record)
        let row = record
        try await database.write {
            try $0.execute(
                "INSERT INTO handoff (id, sandbox, role, is_over, record, updated_at) VALUES (?, ?, ?, ?, ?, ?)"
                    + conflict,
                .text(row.id), .text(row.progress.sandbox), .text(row.role.rawValue),
                SQLValue(row.progress.phase.isOver ? 1 : 0), .blob(bytes),
                SQLValue(Int(Date().timeIntervalSince1970 * 1000)))
        }
    }

    /// Moves that had not ended when this peer stopped, oldest first.
    func unfinished() async throws -> [MoveRecord] {
        try await records("SELECT record FROM handoff WHERE is_over = 0 ORDER BY rowid")
    }

    /// The move of a sandbox that began last, on either side of it.
    func newest(of sandbox: String) async throws -> MoveRecord? {
        try await records(
            "SELECT record FROM handoff WHERE sandbox = ? ORDER BY rowid DESC LIMIT 1", .text(sandbox)
        ).first
    }

    func move(_ id: String) async throws -> MoveRecord? {
        try await records("SELECT record FROM handoff WHERE id = ?", .text(id)).first
    }

    /// Removes the oldest of the moves that are over.
    func prune() async throws {
        try await database.write {
            try $0.execute(
                "DELETE FROM handoff WHERE is_over = 1 AND rowid NOT IN "
                    + "(SELECT rowid FROM handoff WHERE is_over = 1 ORDER BY rowid DESC LIMIT ?)",
                SQLValue(Self.keptMoves))
        }
    }

    private func records(_ sql: String, _ value: SQLValue? = nil) async throws -> [MoveRecord] {
        let rows = try await database.read { connection in
            try value.map { try connection.query(sql, $0) { $0.blob(0) } } ?? connection.query(sql) { $0.blob(0) }
        }
        return rows.compactMap { PeerJSON.decode(MoveRecord.self, from: $0) }
    }
}

// The agent's new key exists before the agent does, and its token before the commit: until then they are kept
// under the move's name, so that a move that comes to nothing leaves the dormant copy's as they were.
extension MoveJournal {
    private static let keyPrefix = "move-key:"
    private static let tokenPrefix = "move-token:"
    private static let credentialsPrefix = "move-credentials:"
    private static let auditPrefix = "move-audit:"

    func keepKey(_ agent: Identity, of id: String) async throws {
        try await store.putSecret(agent.seed, name: Self.keyPrefix + id)
    }

    func key(of id: String) async throws -> Identity? {
        try await store.secret(Self.keyPrefix + id).map { try Identity(seed: $0) }
    }

    func keepToken(_ token: String, of id: String) async throws {
        try await store.putSecret(SecretBytes(copying: Array(token.utf8)), name: Self.tokenPrefix + id)
    }

    func token(of id: String) async throws -> String? {
        try await store.secret(Self.tokenPrefix + id).map { $0.withUnsafeBytes { String(decoding: $0, as: UTF8.self) } }
    }

    func keepCredentials(_ credentials: [String: WireBytes], of id: String) async throws {
        try await store.putSecret(SecretBytes(copying: PeerJSON.encode(credentials)), name: Self.credentialsPrefix + id)
    }

    /// Nil where the giver sent none, being of a version that does not.
    func credentials(of id: String) async throws -> [String: WireBytes]? {
        guard let bytes = try await store.secret(Self.credentialsPrefix + id) else { return nil }
        guard let stored = PeerJSON.decode([String: WireBytes].self, from: bytes.withUnsafeBytes { Array($0) }) else {
            throw OperationFailure(.failed, "the credentials of a move cannot be read")
        }
        return stored
    }

    func forgetCredentials(of id: String) async throws { try await store.removeSecret(Self.credentialsPrefix + id) }

    func keepAudit(_ audit: AuditSegment, of id: String) async throws {
        try await store.putSecret(SecretBytes(copying: PeerJSON.encode(audit)), name: Self.auditPrefix + id)
    }

    /// Nil where the giver sent none, being of a version that does not.
    func audit(of id: String) async throws -> AuditSegment? {
        guard let bytes = try await store.secret(Self.auditPrefix + id) else { return nil }
        guard let stored = PeerJSON.decode(AuditSegment.self, from: bytes.withUnsafeBytes { Array($0) }) else {
            throw OperationFailure(.failed, "the record of decisions of a move cannot be read")
        }
        return stored
    }

    func forgetAudit(of id: String) async throws { try await store.removeSecret(Self.auditPrefix + id) }

    func forgetKey(of id: String) async throws { try await store.removeSecret(Self.keyPrefix + id) }
    func forgetToken(of id: String) async throws { try await store.removeSecret(Self.tokenPrefix + id) }

    /// Moves whose key is still kept.
    func idsOfKeys() async throws -> [String] {
        let prefix = Self.keyPrefix
        return try await database.read {
            try $0.query(
                "SELECT name FROM secret WHERE substr(name, 1, ?) = ?", SQLValue(prefix.utf8.count), .text(prefix)
            ) { String($0.text(0).dropFirst(prefix.count)) }
        }
    }
}

// What this peer believes of its agents, before the sandboxes are taken up.
extension MoveJournal {
    func sandboxes() async throws -> [SandboxRecord] {
        try await database.read { try $0.query("SELECT record FROM sandbox") { $0.blob(0) } }
            .compactMap { PeerJSON.decode(SandboxRecord.self, from: $0) }
    }

    func write(_ sandbox: SandboxRecord) async throws {
        let bytes = PeerJSON.encode(sandbox)
        try await database.write {
            try $0.execute("UPDATE sandbox SET record = ? WHERE name = ?", .blob(bytes), .text(sandbox.name))
        }
    }
}
