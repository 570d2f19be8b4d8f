/// Finds messages whose ack waits for the same commit: their frames need not be written at all.
///
/// Such a message was forwarded before it was on disk and its recipient has it, so that after a crash before
/// the commit nothing that was promised is missing.
enum AckPairs {
    /// The index of the ack for the index of the message it deletes.
    static func find(in operations: [InboxOperation]) -> [Int: Int] {
        // Whoever reads an inbox in between must see what is in it.
        var untouchable: Set<MeshAddress> = []
        var acks = 0
        for operation in operations {
            switch operation {
            case .acknowledge: acks += 1
            case .read(let recipient, _, _, _, _): untouchable.insert(recipient)
            case .move(let old, let new, _, _):
                untouchable.insert(old)
                untouchable.insert(new)
            case .store, .expire, .flush: break
            }
        }
        guard acks > 0 else { return [:] }
        var ackOfTag: [Int64: (ack: Int, id: String, recipient: MeshAddress)] = [:]
        var ackOfStore: [Int: Int] = [:]
        for index in operations.indices.reversed() {
            switch operations[index] {
            case .acknowledge(let id, let recipient, let tag, _):
                ackOfTag[tag] = (index, id, recipient)
            case .store(let message, _, let tag, _) where !ackOfTag.isEmpty && !untouchable.contains(message.recipient):
                guard let found = ackOfTag[tag], found.id == message.id, found.recipient == message.recipient else {
                    continue
                }
                ackOfTag[tag] = nil
                ackOfStore[index] = found.ack
            case .store, .move, .read, .expire, .flush: break
            }
        }
        return ackOfStore
    }
}
