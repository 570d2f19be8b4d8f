/// Keys of messages that have not arrived yet, oldest first.
struct SkippedKeys: Sendable, Equatable {
    struct Position: Sendable, Hashable {
        let dh: [UInt8]
        let n: UInt32
    }

    private(set) var keys: [Position: SecretBytes] = [:]
    /// Every key's position, in the order in which they were kept.
    private(set) var order: [Position] = []

    var count: Int { order.count }

    subscript(position: Position) -> SecretBytes? { keys[position] }

    /// Keeps a key; above `limit` the oldest goes.
    mutating func keep(_ key: SecretBytes, at position: Position, limit: Int) {
        if keys.updateValue(key, forKey: position) == nil { order.append(position) }
        if order.count > limit {
            for position in order.prefix(order.count - limit) { keys[position] = nil }
            order.removeFirst(order.count - limit)
        }
    }

    mutating func remove(_ position: Position) {
        guard keys.removeValue(forKey: position) != nil else { return }
        order.removeAll { $0 == position }
    }
}
