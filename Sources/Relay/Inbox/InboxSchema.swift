import MeshIdentity
import Storage

/// The form of an inbox's file, and how one of an older form is brought up to date.
enum InboxSchema {
    static let migrations = [
        Migration(
            1,
            """
            CREATE TABLE seen (
                seq INTEGER PRIMARY KEY, recipient BLOB NOT NULL, sender BLOB NOT NULL, id TEXT NOT NULL,
                expires INTEGER NOT NULL, UNIQUE (recipient, id, sender)
            );
            CREATE TABLE pending (
                recipient BLOB NOT NULL, seq INTEGER NOT NULL, sender BLOB NOT NULL, id TEXT NOT NULL,
                expires INTEGER NOT NULL, frame BLOB NOT NULL, PRIMARY KEY (recipient, seq)
            ) WITHOUT ROWID;
            """),
        Migration(
            2,
            """
            CREATE TABLE clock (
                place INTEGER PRIMARY KEY CHECK (place = 1), milliseconds INTEGER NOT NULL, wall INTEGER NOT NULL,
                boot TEXT NOT NULL, since_boot INTEGER NOT NULL
            );
            """),
        // A row of `messages` holds its frame in the order of arrival, which fills pages; an index entry stays small.
        Migration(
            3,
            """
            CREATE TABLE messages (
                seq INTEGER PRIMARY KEY, recipient BLOB NOT NULL, sender BLOB NOT NULL, id TEXT NOT NULL,
                expires INTEGER NOT NULL, tag INTEGER NOT NULL, frame BLOB NOT NULL
            );
            CREATE INDEX messages_by_recipient ON messages (recipient);
            CREATE INDEX messages_by_tag ON messages (tag);
            CREATE TABLE recent (place INTEGER PRIMARY KEY, ids BLOB NOT NULL);
            CREATE TABLE blocks (first INTEGER PRIMARY KEY, ids BLOB NOT NULL);
            CREATE TABLE secret (place INTEGER PRIMARY KEY CHECK (place = 1), key BLOB NOT NULL);
            """),
    ]

    /// Rows of an older form that are taken over in one transaction.
    private static let upgradeBatch = 10_000

    /// The secret that ids are remembered under, made for a new file.
    static func secret(_ connection: Connection) throws -> [UInt8] {
        if let secret = try connection.first("SELECT key FROM secret", row: { $0.blob(0) }),
            secret.count == SipHash.keySize
        {
            return secret
        }
        let secret = RandomBytes.make(SipHash.keySize)
        try connection.execute("INSERT OR REPLACE INTO secret (place, key) VALUES (1, ?)", .blob(secret))
        return secret
    }

    /// Takes over what a file of the form before holds. Blocks; begins anew when it was cut off.
    static func upgrade(_ database: Database, keys: MessageKeys) throws {
        let isOld = try database.readBlocking { connection in
            try connection.first("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'seen'") { _ in true }
                ?? false
        }
        guard isOld else { return }
        try database.writeBlocking { connection in
            // What an upgrade left that was cut off.
            try connection.execute("DELETE FROM messages")
            try connection.execute("DELETE FROM recent")
            try connection.execute("DELETE FROM blocks")
        }
        try eachBatch { last in try database.writeBlocking { try upgradeIDs(after: last, keys, on: $0) } }
        try eachBatch { last in try database.writeBlocking { try upgradeMessages(after: last, keys, on: $0) } }
        try database.writeBlocking { connection in
            try connection.execute("DROP TABLE seen")
            try connection.execute("DROP TABLE pending")
        }
    }

    /// Calls with the last sequence of the batch before until there is none.
    private static func eachBatch(_ body: (Int64) throws -> Int64?) rethrows {
        var last: Int64 = .min
        while let next = try body(last) { last = next }
    }

    private static func upgradeIDs(after last: Int64, _ keys: MessageKeys, on connection: Connection) throws -> Int64? {
        let rows = try connection.query(
            "SELECT seq, recipient, sender, id, expires FROM seen WHERE seq > ? ORDER BY seq LIMIT ?",
            .integer(last), SQLValue(upgradeBatch)
        ) { row -> (sequence: Int64, id: RememberedID?) in
            guard let recipient = MeshAddress(bytes: row.blob(1)), let sender = MeshAddress(bytes: row.blob(2)) else {
                return (row.int64(0), nil)
            }
            let key = keys.key(recipient: recipient, sender: sender, id: row.text(3))
            return (row.int64(0), RememberedID(key: key, expires: row.int64(4)))
        }
        let ids = rows.compactMap(\.id).sorted { $0.key < $1.key }
        try IDBlocks.insert(ids[...], expiredUpTo: 0, on: connection)
        return rows.last?.sequence
    }

    private static func upgradeMessages(
        after last: Int64, _ keys: MessageKeys, on connection: Connection
    ) throws -> Int64? {
        let rows = try connection.query(
            "SELECT p.seq, p.recipient, p.id FROM seen s JOIN pending p ON p.recipient = s.recipient AND p.seq = s.seq "
                + "WHERE s.seq > ? ORDER BY s.seq LIMIT ?", .integer(last), SQLValue(upgradeBatch)
        ) { (sequence: $0.int64(0), recipient: $0.blob(1), id: $0.text(2)) }
        for row in rows {
            guard let recipient = MeshAddress(bytes: row.recipient) else { continue }
            try connection.execute(
                """
                INSERT INTO messages (seq, recipient, sender, id, expires, tag, frame)
                SELECT seq, recipient, sender, id, expires, ?, frame FROM pending WHERE recipient = ? AND seq = ?
                """, .integer(keys.tag(recipient: recipient, id: row.id)), .blob(row.recipient), .integer(row.sequence))
        }
        return rows.last?.sequence
    }
}
