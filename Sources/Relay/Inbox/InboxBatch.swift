/// The operations of one change, and which of them meet.
struct InboxBatch: Sendable {
    private(set) var operations: [InboxOperation]
    /// For each operation the index of the ack that deletes its message, or -1; empty when there is no pair.
    private(set) var acks: [Int]

    init(_ operations: [InboxOperation]) {
        self.operations = operations
        acks = AckPairs.find(in: operations)
    }

    /// The index of the ack that deletes the message of a store.
    func ack(of index: Int) -> Int? { acks.isEmpty || acks[index] < 0 ? nil : acks[index] }

    /// Takes out the messages whose recipients were sent them and have not acked them yet: with the ack, which comes
    /// soon, they need not be written at all. In their order.
    ///
    /// Only for a batch in which nobody waits for what is in an inbox.
    mutating func removeUnacked() -> [InboxOperation] {
        // Of the same id the first must be stored first; what is not sent may be a repetition.
        var unsent: Set<MeshAddress> = []
        for case .store(let stored, _) in operations where !stored.isSent { unsent.insert(stored.message.recipient) }
        var removed: [InboxOperation] = []
        var kept: [InboxOperation] = []
        var places = [Int](repeating: -1, count: operations.count)
        for index in operations.indices {
            if case .store(let stored, _) = operations[index], stored.isSent, ack(of: index) == nil,
                !unsent.contains(stored.message.recipient)
            {
                removed.append(operations[index])
            } else {
                places[index] = kept.count
                kept.append(operations[index])
            }
        }
        guard !removed.isEmpty else { return [] }
        if !acks.isEmpty {
            var moved = [Int](repeating: -1, count: kept.count)
            for index in operations.indices where places[index] >= 0 && acks[index] >= 0 {
                moved[places[index]] = places[acks[index]]
            }
            acks = moved
        }
        operations = kept
        return removed
    }
}
