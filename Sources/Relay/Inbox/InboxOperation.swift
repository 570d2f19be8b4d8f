/// A message with what the inbox needs to know of it.
struct StoredMessage: Sendable {
    let message: InboxMessage
    /// Of recipient, sender and id.
    let key: MessageKey
    /// Of recipient and id.
    let tag: Int64
    /// Whether its recipient was sent it already, so that an ack may come soon.
    let isSent: Bool
}

/// What waits for the thread of ``SQLiteInbox``, with whom to tell the result.
enum InboxOperation: Sendable {
    case store(StoredMessage, @Sendable (StoreOutcome) -> Void)
    case acknowledge(String, MeshAddress, tag: Int64, @Sendable (FreedMessage?) -> Void)
    case move(from: MeshAddress, to: MeshAddress, sequence: Int64, @Sendable (MovedMessages?) -> Void)
    case read(MeshAddress, after: Int64, now: Int64, limit: InboxUsage, @Sendable (PendingMessages?) -> Void)
    case expire(now: Int64, @Sendable (ExpiredMessages) -> Void)
    case flush(@Sendable () -> Void)

    /// Bytes of messages it holds.
    var bytes: Int { if case .store(let stored, _) = self { stored.message.frame.count } else { 0 } }

    /// Whether somebody waits for its result to go on.
    var isUrgent: Bool {
        switch self {
        case .read, .flush, .move: true
        case .store, .acknowledge, .expire: false
        }
    }

    /// Tells that it had no effect.
    func fail() {
        switch self {
        case .store(_, let completion): completion(.failed)
        case .acknowledge(_, _, _, let completion): completion(nil)
        case .move(_, _, _, let completion): completion(nil)
        case .read(_, _, _, _, let completion): completion(nil)
        case .expire(_, let completion): completion(ExpiredMessages())
        case .flush(let completion): completion()
        }
    }
}

/// What an operation came to, to be told once it is on disk. No closure: there would be one for every message.
enum InboxReport: Sendable {
    case stored(@Sendable (StoreOutcome) -> Void, StoreOutcome)
    case acknowledged(@Sendable (FreedMessage?) -> Void, FreedMessage?)
    case flushed(@Sendable () -> Void)
    case other(@Sendable () -> Void)

    func tell() {
        switch self {
        case .stored(let completion, let outcome): completion(outcome)
        case .acknowledged(let completion, let freed): completion(freed)
        case .flushed(let completion), .other(let completion): completion()
        }
    }
}
