import FoundationEssentials
import MeshIdentity
import Storage
import Synchronization

/// The registry's tables in one SQLite file.
final class SQLiteRegistryStore: RegistryStore {
    let database: Database
    /// Keeps a second registry off the folder: replays are remembered in the process.
    private let lock: Mutex<FileLock?>

    /// Opens or creates `registry.db` in the folder.
    init(folder: String, onDamage: @escaping @Sendable (StorageError) -> Void = { _ in }) throws {
        try AtomicFile.makeFolder(folder)
        lock = Mutex(try FileLock(path: folder + "/registry.lock"))
        database = try Database(
            path: "\(folder)/\(RegistryService.databaseName)", migrations: RegistrySchema.migrations, cacheMiB: 32,
            onDamage: onDamage)
        try startLog(now: Date())
    }

    func close() {
        database.close()
        lock.withLock { $0 = nil }
    }
}

// MARK: Agents

extension SQLiteRegistryStore {
    /// Columns that ``record(_:)`` reads, in its order; `a` is the agent.
    static let agentColumns = """
        a.key, a.capabilities, a.metadata, a.registered_at, a.last_seen, a.reputation, a.successful, a.failed, \
        a.timeout, a.last_session_at, a.tier, a.verified_app_id, a.verified_tenant_id, a.verified_at, \
        (SELECT h.did FROM lineage_member m JOIN home h ON h.root = m.root WHERE m.did = a.did \
        ORDER BY h.epoch DESC LIMIT 1), a.did, a.revoked_at, a.revocation
        """

    static func record(_ row: Row) throws -> AgentRecord {
        var agent = AgentRecord(
            key: try PublicKey(bytes: row.blob(0)), capabilitiesJSON: row.text(1), metadataJSON: row.text(2),
            registeredAt: Date(milliseconds: row.int64(3)), lastSeen: Date(milliseconds: row.int64(4)))
        agent.reputation = row.double(5)
        agent.successfulSessions = row.int(6)
        agent.failedSessions = row.int(7)
        agent.timeoutSessions = row.int(8)
        agent.lastSessionAt = row.optionalInt64(9).map(Date.init(milliseconds:))
        agent.tier = row.text(10)
        agent.verifiedAppID = row.optionalText(11)
        agent.verifiedTenantID = row.optionalText(12)
        agent.verifiedAt = row.optionalInt64(13).map(Date.init(milliseconds:))
        if let present = row.optionalBlob(14), present != row.blob(15) { agent.successor = DID.text(rowKey: present) }
        if let at = row.optionalInt64(16), let text = row.optionalText(17) {
            agent.revocation = AgentRevocation(
                at: Date(milliseconds: at), certificate: try JSONColumn.decode(RevocationCertificate.self, from: text))
        }
        return agent
    }

    /// Row of the agent whose key the DID names.
    static func agentRow(of did: DID, on connection: Connection) throws -> (id: Int64, key: PublicKey)? {
        let found = try connection.first("SELECT id, key FROM agent WHERE did = ?", .blob(did.rowKey)) {
            (id: $0.int64(0), key: try PublicKey(bytes: $0.blob(1)))
        }
        return found.flatMap { did.names($0.key) ? $0 : nil }
    }

    func agent(_ did: DID) async throws -> AgentRecord? {
        let found = try await database.read { connection in
            try connection.first(
                "SELECT \(Self.agentColumns) FROM agent a WHERE a.did = ?", .blob(did.rowKey), row: Self.record)
        }
        return found.flatMap { did.names($0.key) ? $0 : nil }
    }

    func insert(_ agent: AgentRecord, offering capabilities: Set<String>, limit: Int) async throws -> InsertOutcome {
        try await database.write { connection in
            let rowKey = agent.key.did.rowKey
            let isThere = try connection.first("SELECT 1 FROM agent WHERE did = ?", .blob(rowKey)) { _ in true }
            guard isThere == nil else { return .alreadyThere }
            // The largest id is at least the number of rows, so they are counted only near the limit.
            let largest = try connection.first("SELECT max(id) FROM agent") { $0.int(0) } ?? 0
            if largest >= limit {
                let count = try connection.first("SELECT count(*) FROM agent") { $0.int(0) } ?? 0
                guard count < limit else { return .full }
            }
            try connection.execute(
                """
                INSERT INTO agent (did, key, capabilities, metadata, registered_at, last_seen, reputation, tier)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """,
                .blob(rowKey), .blob(agent.key.bytes), .text(agent.capabilitiesJSON),
                .text(agent.metadataJSON), agent.registeredAt.milliseconds, agent.lastSeen.milliseconds,
                .real(agent.reputation), .text(agent.tier))
            let id = connection.lastInsertedRowID
            // A key that was succeeded may come back, to be looked up; it offers nothing.
            if try !Self.isSucceeded(agent.key.did, on: connection) {
                for name in capabilities {
                    try connection.execute(
                        "INSERT INTO capability (name, agent, reputation) VALUES (?, ?, ?)", .text(name), .integer(id),
                        .real(agent.reputation))
                }
            }
            try Self.append(.registration(of: agent.key, at: agent.registeredAt), on: connection)
            return .inserted
        }
    }

    func removeAgent(_ did: DID) async throws -> Bool {
        try await database.write { connection in
            guard let agent = try Self.agentRow(of: did, on: connection) else { return false }
            try connection.execute("DELETE FROM agent WHERE id = ?", .integer(agent.id))
            return true
        }
    }

    func heartbeat(of did: DID, now: Date, interval: Duration) async throws -> HeartbeatOutcome {
        try await database.write { connection in
            guard let agent = try Self.agentRow(of: did, on: connection) else { return .notRegistered }
            let earliest = now.addingTimeInterval(-interval.inSeconds).milliseconds
            try connection.execute(
                """
                UPDATE agent SET last_seen = ?1, heartbeat_at = ?1
                WHERE id = ?2 AND (heartbeat_at IS NULL OR heartbeat_at <= ?3 OR heartbeat_at > ?1)
                """,
                now.milliseconds, .integer(agent.id), earliest)
            return connection.changes == 1 ? .noted : .tooSoon
        }
    }

    /// Each filter has an index that ends with the id, so a page is a range of it. All four statements name both values,
    /// though not all use them.
    static func listStatement(_ filter: AgentFilter) -> String {
        var conditions = "a.id > ?1 AND ?3 IS ?3 AND ?4 IS ?4"
        if filter.tier != nil { conditions += " AND a.tier = ?3" }
        if filter.displayName != nil { conditions += " AND json_extract(a.metadata, '$.display_name') = ?4" }
        return "SELECT \(agentColumns), a.id FROM agent a WHERE \(conditions) ORDER BY a.id LIMIT ?2"
    }

    func list(
        _ filter: AgentFilter, after position: Int64, limit: Int
    ) async throws -> [(position: Int64, agent: AgentRecord)] {
        let sql = Self.listStatement(filter)
        return try await database.read { connection in
            try connection.query(
                sql, .integer(position), SQLValue(limit), SQLValue(filter.tier), SQLValue(filter.displayName)
            ) { (position: $0.int64(18), agent: try Self.record($0)) }
        }
    }

    func discover(
        capability: String, limit: Int, offset: Int
    ) async throws -> (agents: [FoundAgent], total: Int) {
        try await database.read { connection in
            let agents = try connection.query(
                """
                SELECT a.did, a.capabilities, a.reputation, a.last_seen
                FROM capability c JOIN agent a ON a.id = c.agent WHERE c.name = ?
                ORDER BY c.reputation DESC, c.agent LIMIT ? OFFSET ?
                """,
                .text(capability), SQLValue(limit), SQLValue(offset)
            ) { row in
                FoundAgent(
                    did: DID.text(rowKey: row.blob(0)), capabilitiesJSON: row.text(1), reputation: row.double(2),
                    lastSeen: Date(milliseconds: row.int64(3)))
            }
            let total = try connection.first(
                "SELECT agents FROM capability_count WHERE name = ?", .text(capability)) { $0.int(0) }
            return (agents, total ?? 0)
        }
    }
}
