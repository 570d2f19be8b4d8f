import Storage

/// Durable inboxes. Calls never wait; they take effect in the order they were made, and each completion comes
/// after its effect is on disk, on a thread of the store.
///
/// A completion never runs inside the call that queued it.
protocol InboxStore: Sendable {
    /// The time that lifetimes are counted in, in milliseconds; no change of the machine's clock moves it
    /// (``SteadyClock``).
    var milliseconds: Int64 { get }

    /// Makes the keys that ids are remembered under.
    var keys: MessageKeys { get }

    /// Stores a message unless its id was seen within its time to live, also if it was acked since.
    ///
    /// - Parameters:
    ///   - key: of its recipient, sender and id, by ``keys``.
    ///   - isSent: whether its recipient is sent it at once: under load it then waits a little for the ack, with which
    ///     it need not be written. It counts as stored in either case.
    func store(
        _ message: InboxMessage, key: MessageKey, isSent: Bool, completion: @escaping @Sendable (StoreOutcome) -> Void)

    /// Deletes the oldest message with that id from this recipient's inbox, if there is one.
    func acknowledge(
        id: String, recipient: MeshAddress, completion: @escaping @Sendable (FreedMessage?) -> Void)

    /// Gives everything in one inbox to another recipient, behind what is there.
    ///
    /// - Parameter sequence: the first of as many unused sequence numbers as the inbox may hold messages.
    func move(
        from old: MeshAddress, to new: MeshAddress, sequence: Int64,
        completion: @escaping @Sendable (MovedMessages?) -> Void)

    /// Messages of a recipient after a sequence number and not expired at `now`, oldest first; nil when they
    /// could not be read. At least one if there is one, and no more than both bounds allow.
    func readPending(
        for recipient: MeshAddress, after sequence: Int64, now: Int64, limit: InboxUsage,
        completion: @escaping @Sendable (PendingMessages?) -> Void)

    /// Deletes the oldest messages and remembered ids that expired by `now`, in ``milliseconds``.
    func expire(now: Int64, completion: @escaping @Sendable (ExpiredMessages) -> Void)

    /// Returns when everything queued before is on disk.
    func flush() async

    /// Finishes what is queued; later calls do nothing and never complete.
    func close()

    /// Bytes of messages that wait for the disk.
    var queuedBytes: Int { get }
}

/// What became of a message.
enum StoreOutcome: Sendable, Equatable {
    case stored
    /// It is or was in the inbox already.
    case duplicate
    /// The disk refused it.
    case failed
}

/// A page of an inbox.
struct PendingMessages: Sendable, Equatable {
    var messages: [InboxMessage] = []
    /// Whether nothing follows.
    var isComplete = true
}

/// What an expiry freed.
struct ExpiredMessages: Sendable, Equatable {
    var freed: [InboxLane: InboxUsage] = [:]
    /// Whether more may have expired.
    var hasMore = false
}

/// What became of the messages of an inbox that was given to another recipient.
struct MovedMessages: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        let sender: MeshAddress
        let id: String
        let bytes: Int
        /// False for a message the new recipient was sent already; it is deleted.
        let isKept: Bool
    }
    var entries: [Entry] = []
}

/// What a store held when it was opened.
struct InboxContents: Sendable {
    var usage: [InboxLane: InboxUsage] = [:]
    /// Keys of the newest messages, newest first.
    var recentKeys: [MessageKey] = []
    var lastSequence: Int64 = 0
}
