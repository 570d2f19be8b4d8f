/// Remembers at least the newest ids, in bounded memory: when one generation is full, the one before it goes.
struct RecentIDs: Sendable {
    private let capacity: Int
    private var current: Set<Int> = []
    private var previous: Set<Int> = []

    /// - Parameter capacity: ids that are remembered for certain; twice as many at most.
    init(capacity: Int) { self.capacity = max(capacity, 1) }

    /// Remembers an id.
    ///
    /// - Returns: whether it was known. A chance of 2⁻⁶⁴ per remembered id says so wrongly, hence the caller
    ///   must still let the store decide.
    mutating func insert(recipient: MeshAddress, sender: MeshAddress, id: String) -> Bool {
        // The standard hasher is seeded anew in every process, so nobody can aim at a collision.
        var hasher = Hasher()
        hasher.combine(recipient)
        hasher.combine(sender)
        hasher.combine(id)
        let hash = hasher.finalize()
        if current.contains(hash) || previous.contains(hash) { return true }
        if current.count >= capacity {
            previous = current
            current = []
        }
        current.insert(hash)
        return false
    }
}
