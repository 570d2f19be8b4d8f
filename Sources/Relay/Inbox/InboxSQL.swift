import Storage

/// The statements of ``SQLiteInbox``, each on the thread of its database.
enum InboxSQL {
    /// Rows one expiry looks at, so that it does not hold up messages for long.
    static let expiryBatch = 500

    static func contents(_ connection: Connection, recentIDs: Int) throws -> InboxContents {
        var contents = InboxContents()
        let usage = try connection.query(
            "SELECT recipient, sender, count(*), sum(length(frame)) FROM pending GROUP BY recipient, sender"
        ) {
            (
                MeshAddress(bytes: $0.blob(0)), MeshAddress(bytes: $0.blob(1)),
                InboxUsage(messages: $0.int(2), bytes: $0.int(3))
            )
        }
        for case (let recipient?, let sender?, let usage) in usage {
            contents.usage[InboxLane(recipient: recipient, sender: sender)] = usage
        }
        let recent = try connection.query(
            "SELECT recipient, sender, id FROM seen ORDER BY seq DESC LIMIT ?", SQLValue(recentIDs)
        ) { (MeshAddress(bytes: $0.blob(0)), MeshAddress(bytes: $0.blob(1)), $0.text(2)) }
        for case (let recipient?, let sender?, let id) in recent {
            contents.recentIDs.append((recipient, sender, id))
        }
        contents.lastSequence = try connection.first("SELECT max(seq) FROM seen") { $0.int64(0) } ?? 0
        return contents
    }

    /// The last reading of the inbox's clock; nil in a new file.
    static func clock(_ connection: Connection) throws -> SteadyClock.Reading? {
        try connection.first("SELECT milliseconds, wall, boot, since_boot FROM clock") {
            SteadyClock.Reading(
                milliseconds: $0.int64(0), wall: $0.int64(1), boot: $0.text(2), sinceBoot: $0.int64(3))
        }
    }

    static func note(_ reading: SteadyClock.Reading, on connection: Connection) throws {
        try connection.execute(
            "INSERT OR REPLACE INTO clock (place, milliseconds, wall, boot, since_boot) VALUES (1, ?, ?, ?, ?)",
            .integer(reading.milliseconds), .integer(reading.wall), .text(reading.boot), .integer(reading.sinceBoot))
    }

    /// Whether the message is new.
    ///
    /// - Parameter isAcknowledged: its ack follows in the same transaction, so only its id is kept.
    static func store(
        _ message: InboxMessage, isAcknowledged: Bool, on connection: Connection
    ) throws -> Bool {
        let recipient = SQLValue(message.recipient.bytes)
        let sender = SQLValue(message.sender.bytes)
        try connection.execute(
            "INSERT OR IGNORE INTO seen (seq, recipient, sender, id, expires) VALUES (?, ?, ?, ?, ?)",
            .integer(message.sequence), recipient, sender, .text(message.id), .integer(message.expires))
        guard connection.changes == 1 else { return false }
        if isAcknowledged { return true }
        try connection.execute(
            "INSERT INTO pending (recipient, seq, sender, id, expires, frame) VALUES (?, ?, ?, ?, ?, ?)",
            recipient, .integer(message.sequence), sender, .text(message.id), .integer(message.expires),
            .blob(message.frame))
        return true
    }

    static func acknowledge(
        id: String, recipient: MeshAddress, on connection: Connection
    ) throws -> FreedMessage? {
        try connection.query(
            """
            DELETE FROM pending WHERE recipient = ?1 AND seq = (
                SELECT p.seq FROM seen s JOIN pending p ON p.recipient = s.recipient AND p.seq = s.seq
                WHERE s.recipient = ?1 AND s.id = ?2 ORDER BY p.seq LIMIT 1
            ) RETURNING length(frame), sender
            """, SQLValue(recipient.bytes), .text(id)
        ) { FreedMessage(sender: MeshAddress(bytes: $0.blob(1)) ?? recipient, bytes: $0.int(0)) }.first
    }

    static func move(
        from old: MeshAddress, to new: MeshAddress, sequence: Int64, on connection: Connection
    ) throws -> MovedMessages {
        let rows = try connection.query(
            "SELECT seq, sender, id, length(frame) FROM pending WHERE recipient = ? ORDER BY seq",
            SQLValue(old.bytes)
        ) { (sequence: $0.int64(0), sender: MeshAddress(bytes: $0.blob(1)) ?? old, id: $0.text(2), bytes: $0.int(3)) }
        var moved = MovedMessages()
        for (offset, row) in rows.enumerated() {
            let place = SQLValue.integer(sequence + Int64(offset))
            try connection.execute(
                "UPDATE OR IGNORE seen SET recipient = ?, seq = ? WHERE seq = ?",
                SQLValue(new.bytes), place, .integer(row.sequence))
            let isKept = connection.changes == 1
            if isKept {
                try connection.execute(
                    "UPDATE pending SET recipient = ?, seq = ? WHERE recipient = ? AND seq = ?",
                    SQLValue(new.bytes), place, SQLValue(old.bytes), .integer(row.sequence))
            } else {
                try connection.execute(
                    "DELETE FROM pending WHERE recipient = ? AND seq = ?",
                    SQLValue(old.bytes), .integer(row.sequence))
            }
            moved.entries.append(
                MovedMessages.Entry(sender: row.sender, id: row.id, bytes: row.bytes, isKept: isKept))
        }
        return moved
    }

    static func pending(
        for recipient: MeshAddress, after sequence: Int64, now: Int64, limit: InboxUsage,
        on connection: Connection
    ) throws -> PendingMessages {
        // One more than fits tells whether something follows; lengths are read without the frames.
        let sizes = try connection.query(
            """
            SELECT seq, length(frame) FROM pending WHERE recipient = ? AND seq > ? AND expires > ?
            ORDER BY seq LIMIT ?
            """, SQLValue(recipient.bytes), .integer(sequence), .integer(now), SQLValue(limit.messages + 1)
        ) { (sequence: $0.int64(0), bytes: $0.int(1)) }
        var count = 0
        var bytes = 0
        while count < sizes.count, count < limit.messages, count == 0 || bytes + sizes[count].bytes <= limit.bytes {
            bytes += sizes[count].bytes
            count += 1
        }
        guard count > 0 else { return PendingMessages(isComplete: sizes.isEmpty) }
        let messages = try connection.query(
            """
            SELECT seq, sender, id, expires, frame FROM pending
            WHERE recipient = ? AND seq > ? AND seq <= ? AND expires > ? ORDER BY seq
            """, SQLValue(recipient.bytes), .integer(sequence), .integer(sizes[count - 1].sequence), .integer(now)
        ) { row in
            InboxMessage(
                sequence: row.int64(0), recipient: recipient, sender: MeshAddress(bytes: row.blob(1)) ?? recipient,
                id: row.text(2), expires: row.int64(3), frame: row.blob(4))
        }
        return PendingMessages(messages: messages, isComplete: count == sizes.count)
    }

    /// Ids expire in the order of their sequence: all have the same time to live.
    static func expire(now: Int64, on connection: Connection) throws -> ExpiredMessages {
        let oldest = try connection.query(
            "SELECT seq, recipient, expires FROM seen ORDER BY seq LIMIT ?", SQLValue(expiryBatch)
        ) { (sequence: $0.int64(0), recipient: $0.blob(1), expires: $0.int64(2)) }
        let expired = oldest.prefix { $0.expires <= now }
        var result = ExpiredMessages(hasMore: expired.count == expiryBatch)
        for row in expired {
            let freed = try connection.query(
                "DELETE FROM pending WHERE recipient = ? AND seq = ? RETURNING length(frame), sender",
                .blob(row.recipient), .integer(row.sequence)
            ) { (bytes: $0.int(0), sender: MeshAddress(bytes: $0.blob(1))) }
            try connection.execute("DELETE FROM seen WHERE seq = ?", .integer(row.sequence))
            if let freed = freed.first, let recipient = MeshAddress(bytes: row.recipient) {
                let lane = InboxLane(recipient: recipient, sender: freed.sender ?? recipient)
                result.freed[lane, default: InboxUsage()] += InboxUsage(messages: 1, bytes: freed.bytes)
            }
        }
        return result
    }
}
