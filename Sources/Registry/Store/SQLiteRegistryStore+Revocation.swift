import FoundationEssentials
import MeshIdentity
import Storage

extension SQLiteRegistryStore {
    func revoke(_ certificate: RevocationCertificate, now: Date) async throws -> AgentRevocation? {
        let did = certificate.publicKey.did
        try await database.write { connection in
            guard let agent = try Self.agentRow(of: did, on: connection) else { return }
            try connection.execute(
                "UPDATE agent SET revoked_at = ?, revocation = ? WHERE id = ? AND revoked_at IS NULL",
                now.milliseconds, try JSONColumn.encode(certificate), .integer(agent.id))
            if connection.changes == 1 { try Self.append(.revocation(certificate, at: now), on: connection) }
            for table in ["prekeys", "one_time_prekey"] {
                try connection.execute("DELETE FROM \(table) WHERE agent = ?", .integer(agent.id))
            }
        }
        return try await agent(did)?.revocation
    }
}
