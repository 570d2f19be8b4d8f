import FoundationEssentials
import MeshIdentity
import Storage

/// The record of decisions about one agent, which goes along when the agent moves (behaviours §4.6, §6.4).
///
/// Rows are chained like those of ``AuditChain``. Each peer that gives the agent away signs the head of the chain, so
/// that what was written before a move can be held against the home that wrote it; its own chain and the taker's name
/// that head too.
public struct AgentAudit: Sendable {
    /// Rows of one agent that a peer keeps and sends, the latest ones.
    public static let keptRows = 4_096

    private let database: Database
    private let chain: AuditChain

    public init(store: NodeStore) {
        database = store.database
        chain = AuditChain(store: store)
    }

    /// Where a chain ends.
    public struct End: Codable, Sendable, Equatable {
        /// 0 before the first row.
        public let sequence: Int
        /// Empty before the first row.
        public let hash: String
    }

    // MARK: Writing

    /// Appends a row; it is on disk when this returns.
    public func append(
        _ lineage: DID, agent: String, action: String, decision: String, now: Date = Date()
    ) async throws {
        try await database.write { connection in
            let end = try Self.end(lineage, connection)
            let row = AuditRow(after: end, agent: agent, action: action, decision: decision, now: now)
            try Self.insert(row, lineage, connection)
        }
    }

    /// Signs the chain as it is, because a move with that epoch takes it along. Nothing is appended until the move ends.
    public func seal(_ lineage: DID, epoch: Int, signer: Identity) async throws -> AuditHead {
        try await database.write { connection in
            let head = AuditHead(try Self.end(lineage, connection), of: lineage, epoch: epoch, signer: signer)
            try Self.insert(head, lineage, connection)
            return head
        }
    }

    /// Takes over a chain that came with an agent, with a row that says so. Safe to repeat.
    ///
    /// - Parameters:
    ///   - segment: nil from a giver that keeps no chain.
    ///   - giver: who brought it.
    public func adopt(
        _ segment: AuditSegment?, of lineage: DID, epoch: Int, from giver: DID, now: Date = Date()
    ) async throws {
        let head = segment?.heads.last
        let known = try await database.write { connection -> String? in
            let isDone = try connection.first(
                "SELECT 1 FROM agent_audit_taken WHERE lineage = ? AND epoch >= ?", .text(lineage.text), SQLValue(epoch)
            ) { _ in true } ?? false
            guard !isDone else { return nil }
            var decision = segment == nil ? "flagged" : "success"
            if let segment {
                let end = try Self.end(lineage, connection)
                if !segment.continues(end) {
                    // What is here and what came tell two stories. The agent comes all the same; that they differ, and
                    // how this one ended, is told by the row and by this peer's own chain.
                    decision = "flagged"
                    for table in ["agent_audit", "agent_audit_head"] {
                        try connection.execute("DELETE FROM \(table) WHERE lineage = ?", .text(lineage.text))
                    }
                }
                for row in segment.rows { try Self.insert(row, lineage, connection) }
                for head in segment.heads { try Self.insert(head, lineage, connection) }
            }
            try Self.insert(
                AuditRow(
                    after: try Self.end(lineage, connection), agent: giver.text, action: "handoff:restore",
                    decision: decision, now: now), lineage, connection)
            try connection.execute(
                "INSERT OR REPLACE INTO agent_audit_taken VALUES (?, ?)", .text(lineage.text), SQLValue(epoch))
            return decision
        }
        guard let known else { return }
        try await anchor(lineage, "handoff:restore", head?.hash ?? "", decision: known)
    }

    /// Writes into the peer's own chain how an agent's chain ended when the agent came or went.
    public func anchor(_ lineage: DID, _ action: String, _ hash: String, decision: String = "success") async throws {
        try await chain.append(agent: lineage.text, action: "\(action):\(hash)", decision: decision)
    }

    private static func insert(_ row: AuditRow, _ lineage: DID, _ connection: Connection) throws {
        try connection.execute(
            "INSERT INTO agent_audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", .text(lineage.text), SQLValue(row.sequence),
            .text(row.time), .text(row.agent), .text(row.action), .text(row.decision), .text(row.previous),
            .text(row.hash))
        for table in ["agent_audit", "agent_audit_head"] {
            try connection.execute(
                "DELETE FROM \(table) WHERE lineage = ? AND seq <= ?", .text(lineage.text),
                SQLValue(row.sequence - keptRows))
        }
    }

    private static func insert(_ head: AuditHead, _ lineage: DID, _ connection: Connection) throws {
        try connection.execute(
            "INSERT OR REPLACE INTO agent_audit_head VALUES (?, ?, ?, ?, ?, ?)", .text(lineage.text),
            SQLValue(head.epoch), SQLValue(head.sequence), .text(head.hash), .blob(head.key.bytes),
            .blob(head.signature.bytes))
    }

    // MARK: Reading

    private static func end(_ lineage: DID, _ connection: Connection) throws -> End {
        try connection.first(
            "SELECT seq, hash FROM agent_audit WHERE lineage = ? ORDER BY seq DESC LIMIT 1", .text(lineage.text)
        ) { End(sequence: $0.int(0), hash: $0.text(1)) } ?? End(sequence: 0, hash: "")
    }

    public func end(of lineage: DID) async throws -> End {
        try await database.read { try Self.end(lineage, $0) }
    }

    /// Whether the chain once ended so.
    public func has(_ end: End, of lineage: DID) async throws -> Bool {
        guard end.sequence > 0 else { return true }
        return try await rows(of: lineage, after: end.sequence - 1, limit: 1).first.map {
            $0.sequence == end.sequence && $0.hash == end.hash
        } ?? false
    }

    /// Rows in their order.
    public func rows(of lineage: DID, after sequence: Int, limit: Int) async throws -> [AuditRow] {
        try await database.read {
            try $0.query(
                "SELECT seq, ts, agent_id, action, decision, prev_hash, hash FROM agent_audit WHERE lineage = ? "
                    + "AND seq > ? ORDER BY seq LIMIT ?", .text(lineage.text), SQLValue(sequence), SQLValue(limit),
                row: AuditRow.init(stored:))
        }
    }

    /// Signed heads at rows of that range, in the order of their epochs.
    public func heads(of lineage: DID, in range: ClosedRange<Int>) async throws -> [AuditHead] {
        try await database.read {
            try $0.query(
                "SELECT epoch, seq, hash, key, signature FROM agent_audit_head WHERE lineage = ? "
                    + "AND seq BETWEEN ? AND ? ORDER BY epoch", .text(lineage.text), SQLValue(range.lowerBound), SQLValue(range.upperBound)
            ) { row -> AuditHead? in
                guard let key = try? PublicKey(bytes: row.blob(3)) else { return nil }
                return AuditHead(
                    epoch: row.int(0), sequence: row.int(1), hash: row.text(2), key: key,
                    signature: WireBytes(row.blob(4)))
            }.compactMap { $0 }
        }
    }

    /// All that is kept of a chain.
    public func whole(of lineage: DID) async throws -> AuditSegment {
        AuditSegment(
            rows: try await rows(of: lineage, after: 0, limit: Self.keptRows),
            heads: try await heads(of: lineage, in: 0...Int(Int32.max)))
    }
}
