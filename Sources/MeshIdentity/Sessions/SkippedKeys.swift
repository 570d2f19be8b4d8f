/// Keys of messages that have not arrived yet, oldest first.
struct SkippedKeys: Sendable, Equatable {
    struct Position: Sendable, Hashable {
        let dh: [UInt8]
        let n: UInt32
    }

    private(set) var keys: [Position: [UInt8]] = [:]
    /// Every key's position, in the order in which they were kept.
    private(set) var order: [Position] = []

    var count: Int { order.count }

    subscript(position: Position) -> [UInt8]? { keys[position] }

    /// Keeps a key; above `limit` the oldest is wiped.
    mutating func keep(_ key: [UInt8], at position: Position, limit: Int) {
        if keys.updateValue(key, forKey: position) == nil { order.append(position) }
        if order.count > limit {
            for position in order.prefix(order.count - limit) { erase(position) }
            order.removeFirst(order.count - limit)
        }
    }

    mutating func remove(_ position: Position) {
        guard keys[position] != nil else { return }
        erase(position)
        order.removeAll { $0 == position }
    }

    private mutating func erase(_ position: Position) {
        guard var key = keys.removeValue(forKey: position) else { return }
        key.wipe()
    }
}
