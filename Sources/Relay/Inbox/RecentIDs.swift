/// Remembers at least the newest messages, in bounded memory: when one generation is full, the one before it goes.
struct RecentIDs: Sendable {
    private let capacity: Int
    private var current: Set<UInt64> = []
    private var previous: Set<UInt64> = []

    /// - Parameter capacity: messages that are remembered for certain; twice as many at most.
    init(capacity: Int) { self.capacity = max(capacity, 1) }

    /// Remembers a message.
    ///
    /// - Returns: whether it was known. A chance of 2⁻⁶⁴ per remembered message says so wrongly, hence the caller
    ///   must still let the store decide.
    mutating func insert(_ key: MessageKey) -> Bool {
        // Half of the key is enough; its secret keeps everybody from aiming at a collision.
        let hash = key.low
        if current.contains(hash) || previous.contains(hash) { return true }
        if current.count >= capacity {
            previous = current
            current = []
        }
        current.insert(hash)
        return false
    }
}
