/// Finds messages whose ack waits for the same commit: their frames need not be written at all.
///
/// Such a message was forwarded before it was on disk and its recipient has it, so that after a crash before
/// the commit nothing that was promised is missing.
enum AckPairs {
    /// For each operation the index of the ack that deletes its message, or -1; nothing at all when there is no pair.
    static func find(in operations: [InboxOperation]) -> [Int] {
        // Whoever reads an inbox in between must see what is in it.
        var untouchable: Set<MeshAddress> = []
        var acks = 0
        var stores = 0
        for operation in operations {
            switch operation {
            case .acknowledge: acks += 1
            case .read(let recipient, _, _, _, _): untouchable.insert(recipient)
            case .move(let old, let new, _, _):
                untouchable.insert(old)
                untouchable.insert(new)
            case .store: stores += 1
            case .expire, .flush: break
            }
        }
        guard acks > 0, stores > 0 else { return [] }
        var ackOfTag = Dictionary<Int64, Int>(minimumCapacity: acks)
        var ackOfStore = [Int](repeating: -1, count: operations.count)
        for index in operations.indices.reversed() {
            switch operations[index] {
            case .acknowledge(_, _, let tag, _): ackOfTag[tag] = index
            case .store(let stored, _) where !untouchable.contains(stored.message.recipient):
                let message = stored.message
                guard let ack = ackOfTag[stored.tag],
                    case .acknowledge(message.id, message.recipient, _, _) = operations[ack]
                else { continue }
                ackOfTag[stored.tag] = nil
                ackOfStore[index] = ack
            case .store, .move, .read, .expire, .flush: break
            }
        }
        return ackOfStore
    }
}
