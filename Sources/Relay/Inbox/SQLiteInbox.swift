import Glibc
import Observability
import Storage
import Synchronization

/// Inboxes in one SQLite file.
///
/// `messages` holds the frames without an ack; ``IDMemory`` remembers ids for the time to live. Operations collect
/// while a commit runs and form one change, so neither fsync nor savepoint is paid per message.
final class SQLiteInbox: InboxStore {
    /// Operations in one change: enough to share an fsync, few enough that a receipt need not wait for long.
    private static let maximumBatch = 2048
    /// Operations in one change above which the next one waits for more.
    private static let busyBatch = 16
    /// Microseconds after which a change that waits for more looks whether it still may.
    private static let gatherStep: useconds_t = 1_000

    private static let cacheKiB = 32 << 10
    /// Pages of 4 KiB in the journal after which they are copied into the file.
    private static let checkpointPages = 8_192

    private struct Queue {
        var operations: [InboxOperation] = []
        var isClosed = false
        /// Operations somebody waits for; a commit with one of them is not put off.
        var urgent = 0
        /// Operations of the last change.
        var lastBatch = 0
        /// Whether a change was handed over that will take operations.
        var isSubmitted = false
        /// When messages that wait for their acks are written; nil while none does.
        var patience: ContinuousClock.Instant?
    }

    /// The operations a change took from the queue; nil until it ran.
    private final class Batch: Sendable {
        let operations = Mutex<[InboxOperation]?>(nil)
        /// When the change began.
        let began = Mutex<ContinuousClock.Instant?>(nil)
    }

    private let database: Database
    /// Guards the order of operations; held for an append and a hand-over to the writer.
    private let queue = Mutex(Queue())
    private let waiting = Atomic<Int>(0)
    private let logger: Logger
    private let commitDelay: Duration
    private let ackDelay: Duration
    private let metrics: RelayMetrics?
    private let didReport: @Sendable () -> Void
    /// What was there at the opening.
    let contents: InboxContents
    let keys: MessageKeys
    /// Used by the writer's thread alone; the lock is for the compiler.
    private let memory: Mutex<IDMemory>
    /// Goes on from the reading in the file, which every expiry renews.
    private let clock: SteadyClock

    /// Opens or creates the file. Blocks.
    ///
    /// - Parameters:
    ///   - recentIDs: messages that ``InboxContents/recentKeys`` names, of which three quarters at most are remembered
    ///     in memory before they make room.
    ///   - commitDelay: how long a commit under load waits for more to join it.
    ///   - ackDelay: how long a message that was sent waits for its ack under load before it is written.
    ///   - clocks: of the machine.
    ///   - didReport: called when completions of a change were called: behind the last one, and before that of a flush.
    init(
        path: String, recentIDs: Int, commitDelay: Duration = .zero, ackDelay: Duration = .zero,
        clocks: SteadyClock.Sources = .system, metrics: RelayMetrics? = nil, logger: Logger,
        didReport: @escaping @Sendable () -> Void = {},
        onDamage: @escaping @Sendable (StorageError) -> Void = { _ in }
    ) throws {
        self.commitDelay = commitDelay
        self.ackDelay = ackDelay
        self.metrics = metrics
        self.didReport = didReport
        database = try Database(path: path, migrations: InboxSchema.migrations, onDamage: onDamage)
        try database.writeBlocking { connection in
            // The pages of busy inboxes stay in memory, and are copied into the file once for many commits.
            _ = try connection.first("PRAGMA cache_size = -\(Self.cacheKiB)") { _ in () }
            _ = try connection.first("PRAGMA wal_autocheckpoint = \(Self.checkpointPages)") { _ in () }
        }
        self.logger = logger
        keys = MessageKeys(secret: try database.writeBlocking { try InboxSchema.secret($0) })
        memory = Mutex(IDMemory(capacity: recentIDs * 3 / 4))
        try InboxSchema.upgrade(database, keys: keys)
        contents = try database.readBlocking { try InboxSQL.contents($0, recentIDs: recentIDs) }
        clock = SteadyClock(after: try database.readBlocking { try InboxSQL.clock($0) }, sources: clocks)
    }

    var milliseconds: Int64 { clock.milliseconds }

    var queuedBytes: Int { waiting.load(ordering: .relaxed) }

    func store(
        _ message: InboxMessage, key: MessageKey, isSent: Bool, completion: @escaping @Sendable (StoreOutcome) -> Void
    ) {
        let tag = keys.tag(recipient: message.recipient, id: message.id)
        enqueue(.store(StoredMessage(message: message, key: key, tag: tag, isSent: isSent), completion))
    }

    func acknowledge(
        id: String, recipient: MeshAddress, completion: @escaping @Sendable (FreedMessage?) -> Void
    ) {
        enqueue(.acknowledge(id, recipient, tag: keys.tag(recipient: recipient, id: id), completion))
    }

    func move(
        from old: MeshAddress, to new: MeshAddress, sequence: Int64,
        completion: @escaping @Sendable (MovedMessages?) -> Void
    ) {
        enqueue(.move(from: old, to: new, sequence: sequence, completion))
    }

    func readPending(
        for recipient: MeshAddress, after sequence: Int64, now: Int64, limit: InboxUsage,
        completion: @escaping @Sendable (PendingMessages?) -> Void
    ) {
        enqueue(.read(recipient, after: sequence, now: now, limit: limit, completion))
    }

    func expire(now: Int64, completion: @escaping @Sendable (ExpiredMessages) -> Void) {
        enqueue(.expire(now: now, completion))
    }

    func flush() async {
        await withCheckedContinuation { continuation in
            if !enqueue(.flush({ continuation.resume() })) { continuation.resume() }
        }
    }

    func close() {
        queue.withLock { $0.isClosed = true }
        database.close()
    }
}

extension SQLiteInbox {
    @discardableResult
    private func enqueue(_ operation: InboxOperation) -> Bool {
        queue.withLock { queue in
            guard !queue.isClosed else { return false }
            waiting.add(operation.bytes, ordering: .relaxed)
            queue.operations.append(operation)
            if operation.isUrgent { queue.urgent += 1 }
            // The change that was handed over for the first one takes the others along.
            submit(&queue)
            return true
        }
    }

    /// Lets more gather under load: a page of the file is then written once for more messages.
    private func gather() {
        let end = ContinuousClock.now + commitDelay
        while .now < end {
            let mayWait = queue.withLock {
                $0.urgent == 0 && $0.operations.count < Self.maximumBatch && !$0.isClosed
                    && ($0.lastBatch >= Self.busyBatch || $0.patience != nil)
            }
            guard mayWait else { return }
            usleep(Self.gatherStep)
        }
    }

    /// Takes the next operations from the queue, so many that a change stays short under load.
    private func takeOperations() -> InboxBatch {
        let (operations, mayLeaveSome) = queue.withLock { queue -> ([InboxOperation], Bool) in
            let isBusy = max(queue.operations.count, queue.lastBatch) >= Self.busyBatch
            let mayLeaveSome =
                isBusy && queue.urgent == 0 && !queue.isClosed && ackDelay > .zero
                && queue.patience.map { $0 > .now } ?? true
            if !mayLeaveSome { queue.patience = nil }
            queue.urgent = 0
            queue.lastBatch = queue.operations.count
            queue.isSubmitted = false
            var operations: [InboxOperation] = []
            guard queue.operations.count > Self.maximumBatch, !queue.isClosed else {
                swap(&operations, &queue.operations)
                return (operations, mayLeaveSome)
            }
            operations = Array(queue.operations.prefix(Self.maximumBatch))
            queue.operations.removeFirst(Self.maximumBatch)
            submit(&queue)
            return (operations, false)
        }
        let batch = InboxBatch(operations)
        guard mayLeaveSome else { return batch }
        var rest = batch
        let unacked = rest.removeUnacked()
        guard !unacked.isEmpty else { return batch }
        return queue.withLock { queue in
            // Somebody waits by now, or nothing will be taken any more.
            if queue.urgent > 0 || queue.isClosed { return batch }
            queue.operations.insert(contentsOf: unacked, at: 0)
            if queue.patience == nil { queue.patience = .now + ackDelay }
            submit(&queue)
            return rest
        }
    }

    /// Hands over a change, unless one is on its way. The database is open here, so nothing completes within the call.
    private func submit(_ queue: inout Queue) {
        guard !queue.isSubmitted else { return }
        queue.isSubmitted = true
        submit()
    }

    private func submit() {
        let taken = Batch()
        database.submit { [self] connection in
            gather()
            let batch = takeOperations()
            taken.operations.withLock { $0 = batch.operations }
            taken.began.withLock { $0 = .now }
            return try run(batch, on: connection)
        } completion: { [self] result in
            // A change whose transaction could not begin never ran: its operations still wait.
            let operations = taken.operations.withLock { $0 } ?? takeOperations().operations
            waiting.subtract(operations.reduce(0) { $0 + $1.bytes }, ordering: .relaxed)
            switch result {
            case .success(let reports):
                if !operations.isEmpty, let metrics, let began = taken.began.withLock({ $0 }) {
                    metrics.commitSeconds.observe((ContinuousClock.now - began) / .seconds(1))
                }
                for report in reports {
                    if case .flushed = report { didReport() }
                    report.tell()
                }
            case .failure(let error):
                memory.withLock { $0.invalidate() }
                metrics?.failedCommits.add()
                logger.error(
                    "inbox not written", ["operations": operations.count, "reason": "\(error)"])
                for operation in operations { operation.fail() }
            }
            didReport()
        }
    }

    /// Does all operations and returns what to report once they are on disk.
    private func run(_ batch: InboxBatch, on connection: Connection) throws -> [InboxReport] {
        try memory.withLock { memory in
            do {
                try memory.prepare(on: connection)
                let reports = try run(batch, &memory, on: connection)
                try memory.write(on: connection)
                return reports
            } catch {
                // Another change may follow in the same transaction.
                memory.invalidate()
                throw error
            }
        }
    }

    private func run(
        _ batch: InboxBatch, _ memory: inout IDMemory, on connection: Connection
    ) throws -> [InboxReport] {
        let operations = batch.operations
        var freedByAck = [FreedMessage?](repeating: nil, count: batch.acks.count)
        var reports: [InboxReport] = []
        reports.reserveCapacity(operations.count)
        for index in operations.indices {
            switch operations[index] {
            case .store(let stored, let completion):
                let message = stored.message
                if try memory.contains(stored.key, on: connection) {
                    reports.append(.stored(completion, .duplicate))
                    continue
                }
                memory.remember(stored.key, expires: message.expires)
                if let ack = batch.ack(of: index) {
                    // Its frame need not be written at all.
                    freedByAck[ack] = FreedMessage(sender: message.sender, bytes: message.frame.count)
                } else {
                    try InboxSQL.insert(message, tag: stored.tag, on: connection)
                }
                reports.append(.stored(completion, .stored))
            case .acknowledge(let id, let recipient, let tag, let completion):
                let freed = try (freedByAck.isEmpty ? nil : freedByAck[index])
                    ?? InboxSQL.acknowledge(id: id, recipient: recipient, tag: tag, on: connection)
                reports.append(.acknowledged(completion, freed))
            case .move(let old, let new, let sequence, let completion):
                let moved = try InboxSQL.move(
                    from: old, to: new, sequence: sequence, keys: keys, memory: &memory, on: connection)
                reports.append(.other { completion(moved) })
            case .read(let recipient, let sequence, let now, let limit, let completion):
                let page = try InboxSQL.pending(
                    for: recipient, after: sequence, now: now, limit: limit, on: connection)
                reports.append(.other { completion(page) })
            case .expire(let now, let completion):
                let expired = try InboxSQL.expire(now: now, on: connection)
                try memory.expire(now: now, on: connection)
                try InboxSQL.note(clock.reading, on: connection)
                reports.append(.other { completion(expired) })
            case .flush(let completion): reports.append(.flushed(completion))
            }
        }
        return reports
    }
}
