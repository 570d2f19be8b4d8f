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
        /// The recipient gets it from its inbox soon.
        case stored
        /// The recipient is not connected under this address.
        case absent(MeshAddress)
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

    /// What is known of one address; a class, so that it is changed in place.
    // @unchecked Sendable: a mailbox belongs to the one shard that holds it, is found only through it, and no
    // closure given to `withShard` lets it out: every use is under the lock of that shard.
    private final class Mailbox: @unchecked Sendable {
        var connection: RelayConnection?
        var socket: WebSocket?
        /// Whether the connection was sent everything up to ``cursor`` and gets new messages at once.
        var isLive = false
        /// Whether something was stored without being forwarded since the last read began.
        var hasNews = false
        /// The last message sent on this connection.
        var cursor: Int64 = 0
        var usage = InboxUsage()
        /// The part of each sender in ``usage``.
        var shares: [MeshAddress: InboxUsage] = [:]

        /// Inboxes being moved here; nothing is read meanwhile, lest the cursor pass what they bring.
        var moves = 0

        var isUnused: Bool { connection == nil && usage.messages == 0 && moves == 0 }
    }

    /// To whom the mail of an agent goes.
    private struct Heir {
        let address: MeshAddress
        let expires: ContinuousClock.Instant
    }

    private struct Shard {
        var mailboxes: [MeshAddress: Mailbox] = [:]
        var heirs: [MeshAddress: Heir] = [:]

        /// The mailbox of an address, made when there is none.
        mutating func mailbox(of address: MeshAddress) -> Mailbox {
            if let mailbox = mailboxes[address] { return mailbox }
            let mailbox = Mailbox()
            mailboxes[address] = mailbox
            return mailbox
        }

        /// Forgets a mailbox nobody uses.
        mutating func tidy(_ mailbox: Mailbox, of address: MeshAddress) {
            if mailbox.isUnused { mailboxes[address] = nil }
        }
    }

    /// A lock and what it guards; a class, because locks do not move.
    private final class LockedShard: Sendable {
        let state = Mutex(Shard())
        /// Messages of any address whose keys fall here; its lock is the last one taken.
        let recent: Mutex<RecentIDs>
        init(recentIDs: Int) { recent = Mutex(RecentIDs(capacity: recentIDs)) }
    }

    private static let shardCount = 64
    private let shards: [LockedShard]
    private let store: any InboxStore
    private let limits: RelayLimits
    private let metrics: RelayMetrics
    private let lastSequence: Atomic<Int64>
    private let inboxes: Atomic<Int>
    private let hasHeirs = Atomic<Bool>(false)

    /// - Parameter contents: what the store held when it was opened.
    init(store: any InboxStore, contents: InboxContents, limits: RelayLimits, metrics: RelayMetrics) {
        self.store = store
        self.limits = limits
        self.metrics = metrics
        lastSequence = Atomic(contents.lastSequence)
        inboxes = Atomic(0)
        let capacity = limits.recentIDs / Self.shardCount
        shards = (0..<Self.shardCount).map { _ in LockedShard(recentIDs: capacity) }
        for (lane, usage) in contents.usage {
            withShard(of: lane.recipient) {
                reserve(usage, from: lane.sender, in: $0.mailbox(of: lane.recipient))
            }
        }
        // Oldest first, so that the newest are forgotten last.
        for key in contents.recentKeys.reversed() { _ = wasSeen(key) }
    }

    private func withShard<Result>(of address: MeshAddress, _ body: (inout Shard) -> Result) -> Result {
        shards[address.shard(of: Self.shardCount)].state.withLock { body(&$0) }
    }

    /// Whether a message came before, as far as it is still known here; from now on it has.
    private func wasSeen(_ key: MessageKey) -> Bool {
        shards[Int(key.high % UInt64(Self.shardCount))].recent.withLock { $0.insert(key) }
    }
}

// MARK: - Connections

extension ConnectionTable {
    /// Gives an address to a connection and returns the one that had it.
    func register(
        _ connection: RelayConnection, socket: WebSocket, at address: MeshAddress
    ) -> RelayConnection? {
        withShard(of: address) { shard in
            // Whoever is here reads its own mail.
            shard.heirs[address] = nil
            let mailbox = shard.mailbox(of: address)
            let previous = mailbox.connection
            mailbox.connection = connection
            mailbox.socket = socket
            mailbox.isLive = false
            mailbox.cursor = 0
            return previous
        }
    }

    /// Takes the address away, unless another connection has it by now.
    ///
    /// - Returns: whether mail is left that nobody reads.
    func unregister(_ connection: RelayConnection, at address: MeshAddress) -> Bool {
        withShard(of: address) { shard in
            guard let mailbox = shard.mailboxes[address], mailbox.connection === connection else { return false }
            mailbox.connection = nil
            mailbox.socket = nil
            mailbox.isLive = false
            shard.tidy(mailbox, of: address)
            return mailbox.usage.messages > 0
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
        let recipient = heir(of: submission.recipient)
        let sender = submission.sender
        let key = store.keys.key(recipient: recipient, sender: sender, id: submission.id)
        return withShard(of: recipient) { shard in
            let mailbox = shard.mailbox(of: recipient)
            if let reason = obstacle(to: size, from: sender, in: mailbox) {
                shard.tidy(mailbox, of: recipient)
                return .refused(reason)
            }
            let isKnown = wasSeen(key)
            let message = InboxMessage(
                sequence: lastSequence.add(1, ordering: .relaxed).newValue, recipient: recipient,
                sender: sender, id: submission.id, expires: submission.expires,
                frame: submission.frame)
            reserve(size, from: sender, in: mailbox)
            // Read once: what is sent is what the store believes to be.
            let isSent =
                mailbox.isLive && !isKnown && (mailbox.socket.map { $0.queuedBytes < limits.lagBytes } ?? false)
            store.store(message, key: key, isSent: isSent) { [self] outcome in
                if outcome != .stored { release(size, of: InboxLane(recipient: recipient, sender: sender)) }
                completion(outcome)
            }
            guard let connection = mailbox.connection, let socket = mailbox.socket else {
                return .absent(recipient)
            }
            if isSent {
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
            guard let freed else { return }
            metrics.acknowledged.add()
            release(
                InboxUsage(messages: 1, bytes: freed.bytes),
                of: InboxLane(recipient: recipient, sender: freed.sender))
        }
    }

    /// Deletes what expired, batch by batch.
    func expire(now: Int64) {
        store.expire(now: now) { [self] expired in
            for (lane, usage) in expired.freed {
                metrics.count(.expired, usage.messages)
                release(usage, of: lane)
            }
            if expired.hasMore { expire(now: now) }
        }
    }

    private func obstacle(
        to size: InboxUsage, from sender: MeshAddress, in mailbox: Mailbox
    ) -> DropReason? {
        let usage = mailbox.usage
        if usage.messages + 1 > limits.inboxMessages || usage.bytes + size.bytes > limits.inboxBytes {
            return .inboxFull
        }
        let share = mailbox.shares[sender] ?? InboxUsage()
        if share.messages + 1 > limits.senderMessages || share.bytes + size.bytes > limits.senderBytes {
            return .senderShareFull
        }
        if metrics.storedBytes.value + size.bytes > limits.storedBytes { return .storeFull }
        if usage.messages == 0 && inboxes.load(ordering: .relaxed) >= limits.inboxes { return .storeFull }
        return nil
    }

    private func reserve(_ size: InboxUsage, from sender: MeshAddress, in mailbox: Mailbox) {
        if mailbox.usage.messages == 0 { inboxes.add(1, ordering: .relaxed) }
        mailbox.usage += size
        mailbox.shares[sender, default: InboxUsage()] += size
        metrics.storedMessages.add(size.messages)
        metrics.storedBytes.add(size.bytes)
    }

    private func release(_ size: InboxUsage, of lane: InboxLane) {
        withShard(of: lane.recipient) { shard in
            guard let mailbox = shard.mailboxes[lane.recipient], var share = mailbox.shares[lane.sender] else {
                return
            }
            mailbox.usage -= size
            share -= size
            mailbox.shares[lane.sender] = share.messages > 0 ? share : nil
            if mailbox.usage.messages == 0 { inboxes.subtract(1, ordering: .relaxed) }
            shard.tidy(mailbox, of: lane.recipient)
        }
        metrics.storedMessages.add(-size.messages)
        metrics.storedBytes.add(-size.bytes)
    }
}

// MARK: - Succession

extension ConnectionTable {
    /// Absent agents with mail.
    ///
    /// - Parameter limit: most addresses returned.
    func stranded(limit: Int) -> [MeshAddress] {
        var result: [MeshAddress] = []
        for shard in shards where result.count < limit {
            shard.state.withLock { shard in
                for (address, mailbox) in shard.mailboxes where mailbox.connection == nil { result.append(address) }
            }
        }
        return Array(result.prefix(limit))
    }

    /// Whether mail of an agent waits that is not connected.
    func isStranded(_ address: MeshAddress) -> Bool {
        withShard(of: address) { shard in
            shard.mailboxes[address].map { $0.connection == nil && $0.usage.messages > 0 } ?? false
        }
    }

    /// Who reads the mail of an address now.
    private func heir(of address: MeshAddress) -> MeshAddress {
        guard hasHeirs.load(ordering: .relaxed) else { return address }
        var current = address
        for _ in 0..<limits.successionDepth {
            let next = withShard(of: current) { shard -> MeshAddress? in
                guard let heir = shard.heirs[current] else { return nil }
                if heir.expires > .now { return heir.address }
                shard.heirs[current] = nil
                return nil
            }
            guard let next else { return current }
            current = next
        }
        return current
    }

    /// Gives the mail of an absent agent to its successor, also what comes within ``RelayLimits/succeededFor``.
    ///
    /// Per sender it keeps its order: what comes for the old address after the note of its heir is queued
    /// behind the order to move, and the places of what moves are taken before that note.
    func succeed(_ old: MeshAddress, by new: MeshAddress) {
        guard old != new else { return }
        withShard(of: new) { shard in
            let mailbox = shard.mailbox(of: new)
            mailbox.moves += 1
            mailbox.isLive = false
            mailbox.hasNews = true
        }
        let expires = ContinuousClock.now + limits.succeededFor
        let isMoving = withShard(of: old) { [self] shard in
            guard shard.mailboxes[old]?.connection == nil else { return false }
            shard.heirs = shard.heirs.filter { $0.value.expires > .now }
            // Without a note the next message only leads to the next question.
            if shard.heirs.count <= limits.watchedAgents / Self.shardCount {
                shard.heirs[old] = Heir(address: new, expires: expires)
                hasHeirs.store(true, ordering: .relaxed)
            }
            // An inbox never holds more messages than are counted.
            let count = Int64(shard.mailboxes[old]?.usage.messages ?? 0)
            guard count > 0 else { return false }
            let sequence = lastSequence.add(count, ordering: .relaxed).oldValue + 1
            store.move(from: old, to: new, sequence: sequence) { [self] moved in
                finishMove(moved, from: old, to: new)
            }
            return true
        }
        if !isMoving { endMove(to: new) }
    }

    private func finishMove(_ moved: MovedMessages?, from old: MeshAddress, to new: MeshAddress) {
        for entry in moved?.entries ?? [] {
            let size = InboxUsage(messages: 1, bytes: entry.bytes)
            release(size, of: InboxLane(recipient: old, sender: entry.sender))
            guard entry.isKept else {
                metrics.count(.duplicate)
                continue
            }
            metrics.succeeded.add()
            withShard(of: new) { reserve(size, from: entry.sender, in: $0.mailbox(of: new)) }
            _ = wasSeen(store.keys.key(recipient: new, sender: entry.sender, id: entry.id))
        }
        // What stayed is moved with the next message.
        if moved == nil { withShard(of: old) { $0.heirs[old] = nil } }
        endMove(to: new)
    }

    private func endMove(to new: MeshAddress) {
        let connection = withShard(of: new) { shard -> RelayConnection? in
            let mailbox = shard.mailbox(of: new)
            mailbox.moves -= 1
            shard.tidy(mailbox, of: new)
            return mailbox.connection
        }
        connection?.catchUp()
    }
}

// MARK: - Draining

extension ConnectionTable {
    /// Starts over from the oldest message without an ack.
    func rewind(_ connection: RelayConnection, at address: MeshAddress) {
        withShard(of: address) { shard in
            guard let mailbox = shard.mailboxes[address], mailbox.connection === connection else { return }
            mailbox.isLive = false
            mailbox.cursor = 0
        }
    }

    /// Whether something may be in the inbox that was not sent on this connection.
    func needsDrain(_ connection: RelayConnection, at address: MeshAddress) -> Bool {
        withShard(of: address) { shard in
            guard let mailbox = shard.mailboxes[address], mailbox.connection === connection else { return false }
            return !mailbox.isLive && mailbox.moves == 0
        }
    }

    /// Reads the next page behind every message queued for the disk until now; false when nothing is read.
    func readPending(
        for connection: RelayConnection, at address: MeshAddress, now: Int64, limit: InboxUsage,
        completion: @escaping @Sendable (PendingMessages?) -> Void
    ) -> Bool {
        withShard(of: address) { shard in
            guard let mailbox = shard.mailboxes[address], mailbox.connection === connection, mailbox.moves == 0
            else { return false }
            mailbox.hasNews = false
            store.readPending(
                for: address, after: mailbox.cursor, now: now, limit: limit, completion: completion)
            return true
        }
    }

    /// Notes what was pushed and decides how to go on.
    func finishPage(
        _ page: PendingMessages, for connection: RelayConnection, at address: MeshAddress
    ) -> DrainStep {
        withShard(of: address) { shard in
            guard let mailbox = shard.mailboxes[address], mailbox.connection === connection else {
                return .replaced
            }
            if let last = page.messages.last { mailbox.cursor = last.sequence }
            mailbox.isLive = page.isComplete && !mailbox.hasNews
            return mailbox.isLive ? .live : .readOn
        }
    }
}
