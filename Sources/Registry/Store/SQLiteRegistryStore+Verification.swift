import FoundationEssentials
import MeshIdentity
import Storage

extension SQLiteRegistryStore {
    func verify(_ did: DID, as application: VerifiedApplication, now: Date) async throws -> AgentRecord? {
        try await database.write { connection in
            guard let agent = try Self.agentRow(of: did, on: connection) else { return nil }
            try connection.execute(
                """
                UPDATE agent SET tier = ?, verified_app_id = ?, verified_tenant_id = ?, verified_at = ? WHERE id = ?
                """,
                .text(AgentRecord.verifiedTier), .text(application.appID), .text(application.tenantID),
                now.milliseconds, .integer(agent.id))
            return try connection.first(
                "SELECT \(Self.agentColumns) FROM agent a WHERE a.id = ?", .integer(agent.id), row: Self.record)
        }
    }

    func verify(_ did: DID, as person: VerifiedPerson, now: Date) async throws -> Bool {
        try await database.write { connection in
            guard let agent = try Self.agentRow(of: did, on: connection) else { return false }
            try connection.execute(
                "UPDATE agent SET tier = ?, verified_at = ? WHERE id = ?", .text(AgentRecord.verifiedTier),
                now.milliseconds, .integer(agent.id))
            try connection.execute(
                """
                INSERT OR REPLACE INTO person (agent, provider, provider_id, username, email, verified_at)
                VALUES (?, ?, ?, ?, ?, ?)
                """,
                .integer(agent.id), .text(person.provider), .text(person.providerID), SQLValue(person.username),
                SQLValue(person.email), now.milliseconds)
            return true
        }
    }
}
