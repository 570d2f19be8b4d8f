import Synchronization
import Transport

/// Who is connected where, what each inbox holds, and which messages may be forwarded at once.
///
/// One lock per shard guards the mailboxes of its addresses. Under it a message gets its place in the order and
/// is queued for the disk, so that a mailbox never turns live past a message it has not seen. Nothing is
/// written to a socket under a lock.
final class ConnectionTable: Sendable {
    /// What a sender does after ``route(_:)``.
    enum Route {
        /// The recipient is absent or gets it from its inbox soon.
        case stored
        /// The recipient has everything older: send it now as well.
        case forward(WebSocket)
        /// The recipient was live until now and must read its inbox from here on.
        case catchUp(RelayConnection)
        case refused(DropReason)
    }

    /// What a connection does after a page of its inbox.
    enum DrainStep {
        case readOn
        /// All is pushed, new messages are forwarded from now on.
        case live
        /// Another connection has taken the address.
        case replaced
    }

    /// A message whose place is not decided yet.
    struct Submission: Sendable {
        let recipient: MeshAddress
        let sender: MeshAddress
        let id: String
        let expires: Int64
        let frame: [UInt8]
    }

    private struct Mailbox {
        var connection: RelayConnection?
        var socket: WebSocket?
        /// Whether the connection was sent everything up to ``cursor`` and gets new messages at once.
        var isLive = false
        /// Whether something was stored without being forwarded since the last read began.
        var hasNews = false
        /// The last message sent on this connection.
        var cursor: Int64 = 0
        var usage = InboxUsage()

        var isUnused: Bool { connection == nil && usage.messages == 0 }
    }

    private struct Shard {
        var mailboxes: [MeshAddress: Mailbox] = [:]
        var recent: RecentIDs
    }

    /// A lock and what it guards; a class, because locks do not move.
    private final class LockedShard: Sendable {
        let state: Mutex<Shard>
        init(_ shard: Shard) { state = Mutex(shard) }
    }

    private static let shardCount = 64
    private let shards: [LockedShard]
    private let store: any InboxStore
    private let limits: RelayLimits
    private let metrics: RelayMetrics
    private let lastSequence: Atomic<Int64>
    private let inboxes: Atomic<Int>

    /// - Parameter contents: what the store held when it was opened.
    init(store: any InboxStore, contents: InboxContents, limits: RelayLimits, metrics: RelayMetrics) {
        self.store = store
        self.limits = limits
        self.metrics = metrics
        lastSequence = Atomic(contents.lastSequence)
        inboxes = Atomic(contents.usage.count)
        let capacity = limits.recentIDs / Self.shardCount
        shards = (0..<Self.shardCount).map { _ in
            LockedShard(Shard(recent: RecentIDs(capacity: capacity)))
        }
        for (address, usage) in contents.usage {
            withShard(of: address) { $0.mailboxes[address, default: Mailbox()].usage = usage }
            metrics.storedMessages.add(usage.messages)
            metrics.storedBytes.add(usage.bytes)
        }
        // Oldest first, so that the newest are forgotten last.
        for entry in contents.recentIDs.reversed() {
            withShard(of: entry.recipient) {
                _ = $0.recent.insert(recipient: entry.recipient, sender: entry.sender, id: entry.id)
            }
        }
    }

    private func withShard<Result>(of address: MeshAddress, _ body: (inout Shard) -> Result) -> Result {
        shards[address.shard(of: Self.shardCount)].state.withLock { body(&$0) }
    }
}

// MARK: - Connections

extension ConnectionTable {
    /// Gives an address to a connection and returns the one that had it.
    func register(
        _ connection: RelayConnection, socket: WebSocket, at address: MeshAddress
    ) -> RelayConnection? {
        withShard(of: address) { shard in
            var mailbox = shard.mailboxes[address] ?? Mailbox()
            let previous = mailbox.connection
            mailbox.connection = connection
            mailbox.socket = socket
            mailbox.isLive = false
            mailbox.cursor = 0
            shard.mailboxes[address] = mailbox
            return previous
        }
    }

    /// Takes the address away, unless another connection has it by now.
    func unregister(_ connection: RelayConnection, at address: MeshAddress) {
        withShard(of: address) { shard in
            guard shard.mailboxes[address]?.connection === connection else { return }
            shard.mailboxes[address]!.connection = nil
            shard.mailboxes[address]!.socket = nil
            shard.mailboxes[address]!.isLive = false
            if shard.mailboxes[address]!.isUnused { shard.mailboxes[address] = nil }
        }
    }

    /// Every authenticated connection.
    var connections: [RelayConnection] {
        shards.flatMap { $0.state.withLock { $0.mailboxes.values.compactMap(\.connection) } }
    }
}

// MARK: - Messages

extension ConnectionTable {
    /// Gives a message its place, queues it for the disk and decides about its forwarding.
    func route(
        _ submission: Submission, completion: @escaping @Sendable (StoreOutcome) -> Void
    ) -> Route {
        let size = InboxUsage(messages: 1, bytes: submission.frame.count)
        let recipient = submission.recipient
        return withShard(of: recipient) { shard in
            var mailbox = shard.mailboxes[recipient] ?? Mailbox()
            if let reason = obstacle(to: size, in: mailbox.usage) { return .refused(reason) }
            let isKnown = shard.recent.insert(recipient: recipient, sender: submission.sender, id: submission.id)
            let message = InboxMessage(
                sequence: lastSequence.add(1, ordering: .relaxed).newValue, recipient: recipient,
                sender: submission.sender, id: submission.id, expires: submission.expires,
                frame: submission.frame)
            reserve(size, in: &mailbox)
            store.store(message) { [self] outcome in
                if outcome != .stored { release(size, of: recipient) }
                completion(outcome)
            }
            defer { shard.mailboxes[recipient] = mailbox }
            guard let connection = mailbox.connection, let socket = mailbox.socket else { return .stored }
            if mailbox.isLive && !isKnown && socket.queuedBytes < limits.lagBytes {
                mailbox.cursor = message.sequence
                return .forward(socket)
            }
            let wasLive = mailbox.isLive
            mailbox.isLive = false
            mailbox.hasNews = true
            return wasLive ? .catchUp(connection) : .stored
        }
    }

    /// Deletes a message from the inbox of whoever acks it.
    func acknowledge(id: String, recipient: MeshAddress) {
        store.acknowledge(id: id, recipient: recipient) { [self] freed in
            guard freed.messages > 0 else { return }
            metrics.acknowledged.add(freed.messages)
            release(freed, of: recipient)
        }
    }

    /// Deletes what expired, batch by batch.
    func expire(now: Int64) {
        store.expire(now: now) { [self] expired in
            for (address, usage) in expired.freed {
                metrics.count(.expired, usage.messages)
                release(usage, of: address)
            }
            if expired.hasMore { expire(now: now) }
        }
    }

    private func obstacle(to size: InboxUsage, in usage: InboxUsage) -> DropReason? {
        if usage.messages + 1 > limits.inboxMessages || usage.bytes + size.bytes > limits.inboxBytes {
            return .inboxFull
        }
        if metrics.storedBytes.value + size.bytes > limits.storedBytes { return .storeFull }
        if usage.messages == 0 && inboxes.load(ordering: .relaxed) >= limits.inboxes { return .storeFull }
        return nil
    }

    private func reserve(_ size: InboxUsage, in mailbox: inout Mailbox) {
        if mailbox.usage.messages == 0 { inboxes.add(1, ordering: .relaxed) }
        mailbox.usage += size
        metrics.storedMessages.add(size.messages)
        metrics.storedBytes.add(size.bytes)
    }

    private func release(_ size: InboxUsage, of address: MeshAddress) {
        withShard(of: address) { shard in
            guard var mailbox = shard.mailboxes[address] else { return }
            mailbox.usage -= size
            if mailbox.usage.messages == 0 { inboxes.subtract(1, ordering: .relaxed) }
            shard.mailboxes[address] = mailbox.isUnused ? nil : mailbox
        }
        metrics.storedMessages.add(-size.messages)
        metrics.storedBytes.add(-size.bytes)
    }
}

// MARK: - Draining

extension ConnectionTable {
    /// Starts over from the oldest message without an ack.
    func rewind(_ connection: RelayConnection, at address: MeshAddress) {
        withShard(of: address) { shard in
            guard shard.mailboxes[address]?.connection === connection else { return }
            shard.mailboxes[address]!.isLive = false
            shard.mailboxes[address]!.cursor = 0
        }
    }

    /// Whether something may be in the inbox that was not sent on this connection.
    func needsDrain(_ connection: RelayConnection, at address: MeshAddress) -> Bool {
        withShard(of: address) { shard in
            guard let mailbox = shard.mailboxes[address], mailbox.connection === connection else { return false }
            return !mailbox.isLive
        }
    }

    /// Reads the next page behind every message queued for the disk until now.
    func readPending(
        for connection: RelayConnection, at address: MeshAddress, now: Int64, limit: InboxUsage,
        completion: @escaping @Sendable (PendingMessages?) -> Void
    ) {
        withShard(of: address) { shard in
            guard let mailbox = shard.mailboxes[address], mailbox.connection === connection else { return }
            shard.mailboxes[address]!.hasNews = false
            store.readPending(
                for: address, after: mailbox.cursor, now: now, limit: limit, completion: completion)
        }
    }

    /// Notes what was pushed and decides how to go on.
    func finishPage(
        _ page: PendingMessages, for connection: RelayConnection, at address: MeshAddress
    ) -> DrainStep {
        withShard(of: address) { shard in
            guard var mailbox = shard.mailboxes[address], mailbox.connection === connection else {
                return .replaced
            }
            if let last = page.messages.last { mailbox.cursor = last.sequence }
            mailbox.isLive = page.isComplete && !mailbox.hasNews
            shard.mailboxes[address] = mailbox
            return mailbox.isLive ? .live : .readOn
        }
    }
}
