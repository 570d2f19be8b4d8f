import FoundationEssentials
import Glibc
import MeshIdentity
import Storage

extension SQLiteRegistryStore {
    func remember(request digest: [UInt8], at time: Date, failed: @escaping @Sendable (any Error) -> Void) {
        database.submit { connection in
            try connection.execute(
                "INSERT OR IGNORE INTO replay (digest, seen_at) VALUES (?, ?)", .blob(digest), time.milliseconds)
            try connection.execute(
                "DELETE FROM replay WHERE seen_at < ?", time.addingTimeInterval(-ReplayWindow.length).milliseconds)
        } completion: { result in
            if case .failure(let error) = result { failed(error) }
        }
    }

    func forget(request digest: [UInt8]) {
        database.submit { connection in
            try connection.execute("DELETE FROM replay WHERE digest = ?", .blob(digest))
        } completion: { _ in
            // At worst the same signature is refused until it is too old anyway.
        }
    }

    func rememberedRequests(since time: Date, limit: Int) throws -> [(digest: [UInt8], at: Date)] {
        try database.readBlocking { connection in
            try connection.query(
                """
                SELECT digest, seen_at FROM
                    (SELECT digest, seen_at FROM replay WHERE seen_at >= ? ORDER BY seen_at DESC LIMIT ?)
                ORDER BY seen_at
                """,
                time.milliseconds, SQLValue(limit)
            ) { (digest: $0.blob(0), at: Date(milliseconds: $0.int64(1))) }
        }
    }

    func removeIdle(before time: Date, limit: Int) async throws -> Int {
        try await database.write { connection in
            try connection.execute(
                """
                DELETE FROM agent WHERE id IN (
                    SELECT a.id FROM agent a
                    WHERE a.tier = 'anonymous' AND a.last_seen < ? AND a.revoked_at IS NULL
                        AND NOT EXISTS (SELECT 1 FROM lineage_member m WHERE m.did = a.did)
                        AND NOT EXISTS (SELECT 1 FROM home h WHERE h.home = a.did)
                    ORDER BY a.last_seen LIMIT ?)
                """,
                time.milliseconds, SQLValue(limit))
            return connection.changes
        }
    }
}
