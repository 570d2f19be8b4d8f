import FoundationEssentials
import MeshIdentity
import Storage

extension SQLiteRegistryStore {
    /// How long a session's report is remembered, in seconds; whoever lost an answer asks again long before.
    private static let reportsKept = 86_400.0

    func apply(
        _ changes: [ReputationChange], session: (id: String, reporter: DID)?, now: Date
    ) async throws -> [String: Double] {
        try await database.write { connection in
            var isNew = true
            if let session {
                try connection.execute(
                    "INSERT OR IGNORE INTO session_report (session, reporter, reported_at) VALUES (?, ?, ?)",
                    .text(session.id), .blob(session.reporter.rowKey), now.milliseconds)
                isNew = connection.changes == 1
                try connection.execute(
                    "DELETE FROM session_report WHERE reported_at < ?",
                    now.addingTimeInterval(-Self.reportsKept).milliseconds)
            }
            var scores: [String: Double] = [:]
            for change in changes {
                guard let (agent, key) = try Self.agentRow(of: change.did, on: connection) else { continue }
                if isNew { try Self.apply(change, to: agent, now: now, on: connection) }
                scores[key.did.canonical] = try connection.first(
                    "SELECT reputation FROM agent WHERE id = ?", .integer(agent)) { $0.double(0) }
            }
            return scores
        }
    }

    private static func apply(
        _ change: ReputationChange, to agent: Int64, now: Date, on connection: Connection
    ) throws {
        func count(_ outcome: SessionOutcome) -> SQLValue { .integer(change.outcome == outcome ? 1 : 0) }
        try connection.execute(
            """
            UPDATE agent SET reputation = reputation * (1 - ?1) + ?2 * ?1, successful = successful + ?3,
                failed = failed + ?4, timeout = timeout + ?5, last_session_at = ?6 WHERE id = ?7
            """,
            .real(change.weight), .real(change.score), count(.success), count(.failed), count(.timeout),
            now.milliseconds, .integer(agent))
    }
}
