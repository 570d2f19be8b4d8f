import Storage

/// The statements of ``SQLiteInbox``, each on the thread of its database.
enum InboxSQL {
    /// Rows one expiry looks at, so that it does not hold up messages for long.
    static let expiryBatch = 500

    static func contents(_ connection: Connection, recentIDs: Int) throws -> InboxContents {
        var contents = InboxContents()
        let usage = try connection.query(
            "SELECT recipient, sender, count(*), sum(length(frame)) FROM messages GROUP BY recipient, sender"
        ) {
            (
                MeshAddress(bytes: $0.blob(0)), MeshAddress(bytes: $0.blob(1)),
                InboxUsage(messages: $0.int(2), bytes: $0.int(3))
            )
        }
        for case (let recipient?, let sender?, let usage) in usage {
            contents.usage[InboxLane(recipient: recipient, sender: sender)] = usage
        }
        contents.recentKeys = try IDMemory.stored(on: connection).suffix(recentIDs).reversed().map(\.key)
        contents.lastSequence = try connection.first("SELECT max(seq) FROM messages") { $0.int64(0) } ?? 0
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

    static func insert(_ message: InboxMessage, tag: Int64, on connection: Connection) throws {
        try connection.execute(
            "INSERT INTO messages (seq, recipient, sender, id, expires, tag, frame) VALUES (?, ?, ?, ?, ?, ?, ?)",
            .integer(message.sequence), SQLValue(message.recipient.bytes), SQLValue(message.sender.bytes),
            .text(message.id), .integer(message.expires), .integer(tag), .blob(message.frame))
    }

    static func acknowledge(
        id: String, recipient: MeshAddress, tag: Int64, on connection: Connection
    ) throws -> FreedMessage? {
        let found = try connection.first(
            """
            SELECT seq, sender, length(frame) FROM messages WHERE tag = ? AND recipient = ? AND id = ?
            ORDER BY seq LIMIT 1
            """, .integer(tag), SQLValue(recipient.bytes), .text(id)
        ) { (sequence: $0.int64(0), sender: MeshAddress(bytes: $0.blob(1)) ?? recipient, bytes: $0.int(2)) }
        guard let found else { return nil }
        try connection.execute("DELETE FROM messages WHERE seq = ?", .integer(found.sequence))
        return FreedMessage(sender: found.sender, bytes: found.bytes)
    }

    static func move(
        from old: MeshAddress, to new: MeshAddress, sequence: Int64, keys: MessageKeys, memory: inout IDMemory,
        on connection: Connection
    ) throws -> MovedMessages {
        let rows = try connection.query(
            "SELECT seq, sender, id, length(frame), expires FROM messages WHERE recipient = ? ORDER BY seq",
            SQLValue(old.bytes)
        ) {
            (
                sequence: $0.int64(0), sender: MeshAddress(bytes: $0.blob(1)) ?? old, id: $0.text(2), bytes: $0.int(3),
                expires: $0.int64(4)
            )
        }
        var moved = MovedMessages()
        for (offset, row) in rows.enumerated() {
            let key = keys.key(recipient: new, sender: row.sender, id: row.id)
            let isKept = try !memory.contains(key, on: connection)
            if isKept {
                try connection.execute(
                    "UPDATE messages SET recipient = ?, tag = ?, seq = ? WHERE seq = ?",
                    SQLValue(new.bytes), .integer(keys.tag(recipient: new, id: row.id)),
                    .integer(sequence + Int64(offset)), .integer(row.sequence))
                // Or a way back would take it for a repetition.
                memory.forget(keys.key(recipient: old, sender: row.sender, id: row.id))
                memory.remember(key, expires: row.expires)
            } else {
                try connection.execute("DELETE FROM messages WHERE seq = ?", .integer(row.sequence))
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
        var page = PendingMessages()
        var bytes = 0
        // One more than fits tells whether something follows.
        page.messages = try connection.prefix(
            """
            SELECT seq, sender, id, expires, frame, length(frame) FROM messages
            WHERE recipient = ? AND seq > ? AND expires > ? ORDER BY seq LIMIT ?
            """, SQLValue(recipient.bytes), .integer(sequence), .integer(now), SQLValue(limit.messages + 1)
        ) { row in
            let isFirst = bytes == 0
            bytes += row.int(5)
            guard isFirst || bytes <= limit.bytes else {
                page.isComplete = false
                return nil
            }
            return InboxMessage(
                sequence: row.int64(0), recipient: recipient, sender: MeshAddress(bytes: row.blob(1)) ?? recipient,
                id: row.text(2), expires: row.int64(3), frame: row.blob(4))
        }
        if page.messages.count > limit.messages {
            page.messages.removeLast(page.messages.count - max(limit.messages, 1))
            page.isComplete = false
        }
        return page
    }

    /// Messages expire in the order of their sequence: all have the same time to live.
    static func expire(now: Int64, on connection: Connection) throws -> ExpiredMessages {
        let expired = try connection.prefix(
            "SELECT seq, recipient, sender, length(frame), expires FROM messages ORDER BY seq LIMIT ?",
            SQLValue(expiryBatch)
        ) { row -> (sequence: Int64, recipient: MeshAddress?, sender: MeshAddress?, bytes: Int)? in
            guard row.int64(4) <= now else { return nil }
            return (row.int64(0), MeshAddress(bytes: row.blob(1)), MeshAddress(bytes: row.blob(2)), row.int(3))
        }
        var result = ExpiredMessages(hasMore: expired.count == expiryBatch)
        guard let last = expired.last else { return result }
        try connection.execute("DELETE FROM messages WHERE seq <= ?", .integer(last.sequence))
        for row in expired {
            guard let recipient = row.recipient else { continue }
            let lane = InboxLane(recipient: recipient, sender: row.sender ?? recipient)
            result.freed[lane, default: InboxUsage()] += InboxUsage(messages: 1, bytes: row.bytes)
        }
        return result
    }
}
