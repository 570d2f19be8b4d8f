import Storage

/// The ids of messages that are not stored again, for the thread of the database alone.
///
/// The newest are in memory, and beside it in `recent`: what one change remembers is one row there, written in the
/// change's own transaction. When so many are in memory that it is full, they are sorted and put into `blocks`
/// (``IDBlocks``), some with each change, so that none takes long; then their rows go from `recent`. Until then they
/// are looked for in memory.
///
/// A change that fails takes back what it wrote but not what is here, so this is read anew before the next one.
struct IDMemory {
    /// Ids put into blocks for each new one, so that the old are done long before the new fill the memory.
    private static let foldedPerID = 2
    /// Blocks looked through with each expiry.
    private static let sweptBlocks = 256

    /// Ids in memory, above which they make room.
    private let capacity: Int
    private var isCurrent = false
    private var newest: [MessageKey: Int64] = [:]
    /// What no row of `recent` holds yet.
    private var added: [RememberedID] = []
    /// The next row of `recent`.
    private var nextPlace: Int64 = 1
    /// Those that go into blocks, in the order of their keys.
    private var folding: [RememberedID] = []
    /// How many of them are there.
    private var folded = 0
    /// The last row of `recent` that holds one of them.
    private var foldingPlace: Int64 = 0
    /// Whether there are blocks to look into.
    private var hasBlocks = false
    /// What expired by then is as good as forgotten.
    private var expired: Int64 = 0
    private var sweepStart: Int64 = 0

    /// - Parameter capacity: ids of one generation; at most two are in memory, the older one without a hash table.
    init(capacity: Int) { self.capacity = max(capacity, 1) }

    /// Makes the next ``prepare(on:)`` read what is on disk: a change failed.
    mutating func invalidate() { isCurrent = false }

    /// Before anything else in a change.
    mutating func prepare(on connection: Connection) throws {
        guard !isCurrent else { return }
        newest = [:]
        added = []
        folding = []
        folded = 0
        for id in try Self.stored(on: connection) { newest[id.key] = id.expires }
        nextPlace = (try connection.first("SELECT max(place) FROM recent") { $0.int64(0) } ?? 0) + 1
        hasBlocks = try connection.first("SELECT 1 FROM blocks LIMIT 1") { _ in true } ?? false
        isCurrent = true
    }

    /// The ids of `recent`, oldest first.
    static func stored(on connection: Connection) throws -> [RememberedID] {
        try connection.query("SELECT ids FROM recent ORDER BY place") { row in
            row.withBlob(0) { RememberedIDs.decode($0) }
        }.flatMap { $0 }
    }

    /// Whether an id was remembered and has not expired.
    func contains(_ key: MessageKey, on connection: Connection) throws -> Bool {
        try expiry(of: key, on: connection).map { $0 > expired } ?? false
    }

    private func expiry(of key: MessageKey, on connection: Connection) throws -> Int64? {
        if let expires = newest[key] { return expires }
        if let expires = RememberedIDs.expiry(of: key, in: folding) { return expires }
        return hasBlocks ? try IDBlocks.expiry(of: key, on: connection) : nil
    }

    mutating func remember(_ key: MessageKey, expires: Int64) {
        newest[key] = expires
        added.append(RememberedID(key: key, expires: expires))
    }

    /// The message with this key is another's now.
    mutating func forget(_ key: MessageKey) {
        // A time that is over counts before what an older place says.
        remember(key, expires: 0)
    }

    /// Drops what expired where that is not done by the way.
    mutating func expire(now: Int64, on connection: Connection) throws {
        expired = max(expired, now)
        guard hasBlocks else { return }
        sweepStart = try IDBlocks.sweep(
            from: sweepStart, limit: Self.sweptBlocks, expiredUpTo: expired, on: connection)
    }

    /// At the end of a change: writes what it remembered, and goes on with putting older ids into blocks.
    mutating func write(on connection: Connection) throws {
        let count = added.count
        guard count > 0 else { return }
        try connection.execute(
            "INSERT INTO recent (place, ids) VALUES (?, ?)", .integer(nextPlace), .blob(RememberedIDs.encode(added)))
        nextPlace += 1
        added.removeAll(keepingCapacity: true)
        if newest.count >= capacity, folding.isEmpty {
            folding = newest.map { RememberedID(key: $0.key, expires: $0.value) }.sorted { $0.key < $1.key }
            foldingPlace = nextPlace - 1
            newest = [:]
        }
        try fold(count * Self.foldedPerID, on: connection)
    }

    private mutating func fold(_ count: Int, on connection: Connection) throws {
        guard !folding.isEmpty else { return }
        let end = min(folded + count, folding.count)
        try IDBlocks.insert(folding[folded..<end], expiredUpTo: expired, on: connection)
        hasBlocks = true
        folded = end
        guard folded == folding.count else { return }
        try connection.execute("DELETE FROM recent WHERE place <= ?", .integer(foldingPlace))
        folding = []
        folded = 0
    }
}
