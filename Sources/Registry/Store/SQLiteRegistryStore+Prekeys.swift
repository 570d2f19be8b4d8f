import MeshIdentity
import Storage

extension SQLiteRegistryStore {
    func upload(_ prekeys: PrekeyUpload, of did: DID, keeping limit: Int) async throws -> Int? {
        try await database.write { connection in
            guard let (agent, _) = try Self.agentRow(of: did, on: connection) else { return nil }
            if try Self.hasStartedAfresh(prekeys, agent: agent, on: connection) {
                try connection.execute(
                    "DELETE FROM one_time_prekey WHERE agent = ? AND used = 0", .integer(agent))
            }
            try connection.execute(
                """
                INSERT INTO prekeys (agent, identity_key, signed_id, signed_key, signature) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (agent) DO UPDATE SET identity_key = excluded.identity_key,
                    signed_id = excluded.signed_id, signed_key = excluded.signed_key, signature = excluded.signature
                """,
                .integer(agent), .blob(prekeys.identityKey), SQLValue(prekeys.signedPreKey.keyID),
                .blob(prekeys.signedPreKey.publicKey), .blob(prekeys.signedPreKey.signature))
            for key in prekeys.oneTimePreKeys {
                // A key that is known, used or not, stays as it is: a repeated upload brings no used key back.
                try connection.execute(
                    "INSERT OR IGNORE INTO one_time_prekey (agent, id, key) VALUES (?, ?, ?)",
                    .integer(agent), SQLValue(key.keyID), .blob(key.publicKey))
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
        _ prekeys: PrekeyUpload, agent: Int64, on connection: Connection
    ) throws -> Bool {
        let signed = try connection.first(
            "SELECT 1 FROM prekeys WHERE agent = ? AND signed_id = ? AND signed_key <> ?", .integer(agent),
            SQLValue(prekeys.signedPreKey.keyID), .blob(prekeys.signedPreKey.publicKey)) { _ in true }
        if signed != nil { return true }
        for key in prekeys.oneTimePreKeys {
            let other = try connection.first(
                "SELECT 1 FROM one_time_prekey WHERE agent = ? AND id = ? AND key <> ?", .integer(agent),
                SQLValue(key.keyID), .blob(key.publicKey)) { _ in true }
            if other != nil { return true }
        }
        return false
    }

    func takePrekeys(of did: DID, consuming: Bool) async throws -> PrekeyBundle? {
        let take: @Sendable (Connection) throws -> PrekeyBundle? = { connection in
            guard let (agent, key) = try Self.agentRow(of: did, on: connection) else { return nil }
            let stored = try connection.first(
                "SELECT identity_key, signed_id, signed_key, signature FROM prekeys WHERE agent = ?",
                .integer(agent)
            ) {
                (
                    identityKey: $0.blob(0),
                    signed: SignedPrekey(keyID: $0.int(1), publicKey: $0.blob(2), signature: $0.blob(3))
                )
            }
            guard let stored else { return nil }
            return PrekeyBundle(
                identityKey: stored.identityKey, identityKeyEd: key.bytes, signedPreKey: stored.signed,
                oneTimePreKey: consuming ? try Self.takeOneTime(of: agent, on: connection) : nil)
        }
        return consuming ? try await database.write(take) : try await database.read(take)
    }

    /// The oldest unused key, used from now on.
    private static func takeOneTime(of agent: Int64, on connection: Connection) throws -> OneTimePrekey? {
        let oldest = try connection.first(
            "SELECT position, id, key FROM one_time_prekey WHERE agent = ? AND used = 0 ORDER BY position LIMIT 1",
            .integer(agent)
        ) { (position: $0.int64(0), key: OneTimePrekey(keyID: $0.int(1), publicKey: $0.blob(2))) }
        guard let oldest else { return nil }
        try connection.execute("UPDATE one_time_prekey SET used = 1 WHERE position = ?", .integer(oldest.position))
        return oldest.key
    }
}
