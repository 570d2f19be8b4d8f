import MeshIdentity
import Storage

extension SQLiteRegistryStore {
    func upload(
        _ prekeys: StoredPrekeys, oneTime: [OneTimePrekey], of did: DID, keeping limit: Int
    ) async throws -> Int? {
        try await database.write { connection in
            guard let (agent, _) = try Self.agentRow(of: did, on: connection) else { return nil }
            if try Self.hasStartedAfresh(prekeys, oneTime, agent: agent, on: connection) {
                try connection.execute(
                    "DELETE FROM one_time_prekey WHERE agent = ? AND used = 0", .integer(agent))
            }
            try connection.execute(
                """
                INSERT INTO prekeys (agent, identity_key, signed_id, signed_key, signature) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (agent) DO UPDATE SET identity_key = excluded.identity_key,
                    signed_id = excluded.signed_id, signed_key = excluded.signed_key, signature = excluded.signature
                """,
                .integer(agent), .blob(prekeys.identityKey), .integer(prekeys.signedID), .blob(prekeys.signedKey),
                .blob(prekeys.signature))
            for key in oneTime {
                // A key that is known, used or not, stays as it is: a repeated upload brings no used key back.
                try connection.execute(
                    "INSERT OR IGNORE INTO one_time_prekey (agent, id, key) VALUES (?, ?, ?)",
                    .integer(agent), .integer(key.id), .blob(key.publicKey))
            }
            for used: Int64 in [0, 1] {
                try connection.execute(
                    """
                    DELETE FROM one_time_prekey WHERE agent = ?1 AND used = ?2 AND position <= (
                        SELECT position FROM one_time_prekey WHERE agent = ?1 AND used = ?2
                        ORDER BY position DESC LIMIT 1 OFFSET ?3)
                    """,
                    .integer(agent), .integer(used), SQLValue(limit))
            }
            return try connection.first(
                "SELECT count(*) FROM one_time_prekey WHERE agent = ? AND used = 0", .integer(agent)) { $0.int(0) }
        }
    }

    /// Whether the upload gives an id to a key other than before: then its client lost the private halves of all it
    /// uploaded earlier, and sessions that start with one of those could never be opened.
    private static func hasStartedAfresh(
        _ prekeys: StoredPrekeys, _ oneTime: [OneTimePrekey], agent: Int64, on connection: Connection
    ) throws -> Bool {
        let signed = try connection.first(
            "SELECT 1 FROM prekeys WHERE agent = ? AND signed_id = ? AND signed_key <> ?", .integer(agent),
            .integer(prekeys.signedID), .blob(prekeys.signedKey)) { _ in true }
        if signed != nil { return true }
        for key in oneTime {
            let other = try connection.first(
                "SELECT 1 FROM one_time_prekey WHERE agent = ? AND id = ? AND key <> ?", .integer(agent),
                .integer(key.id), .blob(key.publicKey)) { _ in true }
            if other != nil { return true }
        }
        return false
    }

    func takePrekeys(of did: DID, consuming: Bool) async throws -> (StoredPrekeys, OneTimePrekey?)? {
        let take: @Sendable (Connection) throws -> (StoredPrekeys, OneTimePrekey?)? = { connection in
            guard let (agent, _) = try Self.agentRow(of: did, on: connection) else { return nil }
            let prekeys = try connection.first(
                "SELECT identity_key, signed_id, signed_key, signature FROM prekeys WHERE agent = ?",
                .integer(agent)
            ) {
                StoredPrekeys(
                    identityKey: $0.blob(0), signedID: $0.int64(1), signedKey: $0.blob(2), signature: $0.blob(3))
            }
            guard let prekeys else { return nil }
            guard consuming else { return (prekeys, nil) }
            let oldest = try connection.first(
                "SELECT position, id, key FROM one_time_prekey WHERE agent = ? AND used = 0 ORDER BY position LIMIT 1",
                .integer(agent)
            ) { (position: $0.int64(0), key: OneTimePrekey(id: $0.int64(1), publicKey: $0.blob(2))) }
            guard let oldest else { return (prekeys, nil) }
            try connection.execute(
                "UPDATE one_time_prekey SET used = 1 WHERE position = ?", .integer(oldest.position))
            return (prekeys, oldest.key)
        }
        return consuming ? try await database.write(take) : try await database.read(take)
    }
}
