import Storage

/// Ids on disk in the order of their keys, many in a row of the database, so that what costs is paid once for many.
///
/// A block holds the keys from its own first up to that of the next. Keys are hashes, so blocks fill evenly.
enum IDBlocks {
    /// Ids of one block, which fit into a page of 4 KiB with what SQLite needs of it. A fuller one is split.
    static let capacity = 160

    private struct Block {
        let first: Int64
        let ids: [RememberedID]
    }

    static func expiry(of key: MessageKey, on connection: Connection) throws -> Int64? {
        try connection.first(
            "SELECT ids FROM blocks WHERE first <= ? ORDER BY first DESC LIMIT 1", .integer(place(of: key))
        ) { row in row.withBlob(0) { RememberedIDs.expiry(of: key, in: $0) } } ?? nil
    }

    /// Puts ids into their blocks, from which what expired goes.
    ///
    /// - Parameter ids: in the order of their keys, each key once.
    static func insert(
        _ ids: ArraySlice<RememberedID>, expiredUpTo now: Int64, on connection: Connection
    ) throws {
        var rest = ids
        while let next = rest.first {
            let block = try block(for: next.key, on: connection)
            let limit = try connection.first(
                "SELECT first FROM blocks WHERE first > ? ORDER BY first LIMIT 1", .integer(block.first)
            ) { $0.int64(0) }
            let end = limit.flatMap { limit in rest.firstIndex { place(of: $0.key) >= limit } } ?? rest.endIndex
            let merged = RememberedIDs.merge(block.ids, rest[..<end], expiredUpTo: now)
            try write(merged, as: block.first, on: connection)
            rest = rest[end...]
        }
    }

    /// Drops what expired from some blocks.
    ///
    /// - Parameters:
    ///   - start: where to begin; 0 is the first block.
    ///   - limit: most blocks that are looked at.
    /// - Returns: where to go on; 0 when the last block was looked at.
    static func sweep(
        from start: Int64, limit: Int, expiredUpTo now: Int64, on connection: Connection
    ) throws -> Int64 {
        let blocks = try connection.query(
            "SELECT first, ids FROM blocks WHERE first >= ? ORDER BY first LIMIT ?", .integer(start), SQLValue(limit)
        ) { row in Block(first: row.int64(0), ids: row.withBlob(1) { RememberedIDs.decode($0) }) }
        for block in blocks {
            let left = block.ids.filter { $0.expires > now }
            if left.count < block.ids.count { try write(left, as: block.first, on: connection) }
        }
        guard blocks.count == limit, let last = blocks.last else { return 0 }
        return last.first + 1
    }

    private static func block(for key: MessageKey, on connection: Connection) throws -> Block {
        try connection.first(
            "SELECT first, ids FROM blocks WHERE first <= ? ORDER BY first DESC LIMIT 1", .integer(place(of: key))
        ) { row in Block(first: row.int64(0), ids: row.withBlob(1) { RememberedIDs.decode($0) }) }
            ?? Block(first: 0, ids: [])
    }

    /// Writes what a block holds now, as more blocks when it became too full.
    private static func write(_ ids: [RememberedID], as first: Int64, on connection: Connection) throws {
        // The first block stays, so that every key has one. The keys of another that goes are its neighbour's then.
        guard !ids.isEmpty || first == 0 else {
            try connection.execute("DELETE FROM blocks WHERE first = ?", .integer(first))
            return
        }
        let pieces = ids.count > capacity ? (ids.count + capacity / 2 - 1) / (capacity / 2) : 1
        var begin = 0
        for piece in 0..<pieces {
            let isLast = piece == pieces - 1
            let end = isLast ? ids.count : max(begin, splitPoint(of: ids, near: ids.count * (piece + 1) / pieces))
            guard end > begin || pieces == 1 else { continue }
            try connection.execute(
                "INSERT OR REPLACE INTO blocks (first, ids) VALUES (?, ?)",
                .integer(begin == 0 ? first : place(of: ids[begin].key)), .blob(RememberedIDs.encode(ids[begin..<end])))
            begin = end
        }
    }

    /// The next index where another block may begin: keys of one place stay together.
    private static func splitPoint(of ids: [RememberedID], near index: Int) -> Int {
        var index = index
        while index < ids.count, place(of: ids[index].key) == place(of: ids[index - 1].key) { index += 1 }
        return index
    }

    /// The part of a key that blocks are found by.
    private static func place(of key: MessageKey) -> Int64 { Int64(key.high >> 1) }
}
