import Observability
import Storage
import Synchronization

/// Inboxes in one SQLite file.
///
/// `seen` remembers ids for the time to live, `pending` holds the frames without an ack. Operations collect
/// while a commit runs and form one change, so neither fsync nor savepoint is paid per message.
final class SQLiteInbox: InboxStore {
    private static let migrations = [
        Migration(
            1,
            """
            CREATE TABLE seen (
                seq INTEGER PRIMARY KEY, recipient BLOB NOT NULL, sender BLOB NOT NULL, id TEXT NOT NULL,
                expires INTEGER NOT NULL, UNIQUE (recipient, id, sender)
            );
            CREATE TABLE pending (
                recipient BLOB NOT NULL, seq INTEGER NOT NULL, sender BLOB NOT NULL, id TEXT NOT NULL,
                expires INTEGER NOT NULL, frame BLOB NOT NULL, PRIMARY KEY (recipient, seq)
            ) WITHOUT ROWID;
            """)
    ]

    /// Operations in one change: enough to share an fsync, few enough that a receipt need not wait for long.
    private static let maximumBatch = 2048

    private enum Operation: Sendable {
        case store(InboxMessage, @Sendable (StoreOutcome) -> Void)
        case acknowledge(String, MeshAddress, @Sendable (InboxUsage) -> Void)
        case read(MeshAddress, after: Int64, now: Int64, limit: InboxUsage, @Sendable (PendingMessages?) -> Void)
        case expire(now: Int64, @Sendable (ExpiredMessages) -> Void)
        case flush(@Sendable () -> Void)

        var bytes: Int { if case .store(let message, _) = self { message.frame.count } else { 0 } }
    }

    private struct Queue {
        var operations: [Operation] = []
        var isClosed = false
    }

    /// The operations a change took from the queue; nil until it ran.
    private final class Batch: Sendable {
        let operations = Mutex<[Operation]?>(nil)
    }

    private let database: Database
    /// Guards the order of operations; held for an append and a hand-over to the writer.
    private let queue = Mutex(Queue())
    private let waiting = Atomic<Int>(0)
    private let logger: Logger
    /// What was there at the opening.
    let contents: InboxContents

    /// Opens or creates the file. Blocks.
    init(path: String, recentIDs: Int, logger: Logger) throws {
        database = try Database(path: path, migrations: Self.migrations)
        self.logger = logger
        contents = try database.readBlocking { try InboxSQL.contents($0, recentIDs: recentIDs) }
    }

    var queuedBytes: Int { waiting.load(ordering: .relaxed) }

    func store(_ message: InboxMessage, completion: @escaping @Sendable (StoreOutcome) -> Void) {
        enqueue(.store(message, completion))
    }

    func acknowledge(
        id: String, recipient: MeshAddress, completion: @escaping @Sendable (InboxUsage) -> Void
    ) {
        enqueue(.acknowledge(id, recipient, completion))
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
    private func enqueue(_ operation: Operation) -> Bool {
        queue.withLock { queue in
            guard !queue.isClosed else { return false }
            waiting.add(operation.bytes, ordering: .relaxed)
            queue.operations.append(operation)
            // The change that was handed over for the first one takes the others along. The database is open
            // here, so it does not complete within the call.
            if queue.operations.count == 1 { submit() }
            return true
        }
    }

    /// Takes the next operations from the queue, so many that a change stays short under load.
    private func takeOperations() -> [Operation] {
        queue.withLock { queue in
            guard queue.operations.count > Self.maximumBatch, !queue.isClosed else {
                var operations: [Operation] = []
                swap(&operations, &queue.operations)
                return operations
            }
            let operations = Array(queue.operations.prefix(Self.maximumBatch))
            queue.operations.removeFirst(Self.maximumBatch)
            submit()
            return operations
        }
    }

    private func submit() {
        let batch = Batch()
        database.submit { [self] connection in
            let operations = takeOperations()
            batch.operations.withLock { $0 = operations }
            return try operations.map { try Self.run($0, on: connection) }
        } completion: { [self] result in
            // A change whose transaction could not begin never ran: its operations still wait.
            let operations = batch.operations.withLock { $0 } ?? takeOperations()
            waiting.subtract(operations.reduce(0) { $0 + $1.bytes }, ordering: .relaxed)
            switch result {
            case .success(let reports):
                for report in reports { report() }
            case .failure(let error):
                logger.error(
                    "inbox not written", ["operations": operations.count, "reason": "\(error)"])
                for operation in operations { Self.fail(operation) }
            }
        }
    }

    /// Does one operation and returns what to report once it is on disk.
    private static func run(
        _ operation: Operation, on connection: Connection
    ) throws -> @Sendable () -> Void {
        switch operation {
        case .store(let message, let completion):
            let isNew = try InboxSQL.store(message, on: connection)
            return { completion(isNew ? .stored : .duplicate) }
        case .acknowledge(let id, let recipient, let completion):
            let freed = try InboxSQL.acknowledge(id: id, recipient: recipient, on: connection)
            return { completion(freed) }
        case .read(let recipient, let sequence, let now, let limit, let completion):
            let page = try InboxSQL.pending(
                for: recipient, after: sequence, now: now, limit: limit, on: connection)
            return { completion(page) }
        case .expire(let now, let completion):
            let expired = try InboxSQL.expire(now: now, on: connection)
            return { completion(expired) }
        case .flush(let completion): return completion
        }
    }

    private static func fail(_ operation: Operation) {
        switch operation {
        case .store(_, let completion): completion(.failed)
        case .acknowledge(_, _, let completion): completion(InboxUsage())
        case .read(_, _, _, _, let completion): completion(nil)
        case .expire(_, let completion): completion(ExpiredMessages())
        case .flush(let completion): completion()
        }
    }
}
