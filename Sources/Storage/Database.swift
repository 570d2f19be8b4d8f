import Dispatch
import Synchronization

/// A SQLite file with one writer and one reader thread.
///
/// The journal is a WAL with `synchronous=FULL`: a change is on disk before its caller hears of it. All
/// changes that wait while a commit runs form the next transaction, so the cost of an fsync is shared.
public final class Database: Sendable {
    public let path: String
    private let writer: WorkThread<Job>
    private let reader: WorkThread<Job>
    /// Goes on after the opening, for a file that is too large to be checked before.
    private let laterCheck: IntegrityCheck?

    /// What a thread runs: the body, then, once the batch is on disk or has failed, the completion.
    private struct Job: Sendable {
        /// Returns a closure that reports success; throws to undo its own savepoint.
        let run: @Sendable (Connection) throws -> (@Sendable () -> Void)
        let fail: @Sendable (any Error) -> Void
    }

    /// Opens or creates the file, checks it and brings its schema up to date.
    ///
    /// - Parameters:
    ///   - path: the file; its folder is created with mode 0700, the file with 0600.
    ///   - migrations: the whole history of the schema.
    ///   - cacheMiB: memory for pages, for each of the two threads; nil is SQLite's 2 MB. The journal may grow twice as
    ///     large before its pages go to the file, so that a page that changes often goes there once.
    ///   - checkTime: how long the check may keep the opening waiting. A file that is too large for it is checked on
    ///     while it is used.
    ///   - onDamage: hears of damage that was found later, on a thread of its own.
    /// - Throws: ``StorageError/corrupt(path:message:)`` for damage found in time; the file is left as it is.
    public init(
        path: String, migrations: [Migration], cacheMiB: Int? = nil, checkTime: Duration = .seconds(5),
        onDamage: @escaping @Sendable (StorageError) -> Void = { _ in }
    ) throws {
        self.path = path
        try AtomicFile.makeFolder(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]))
        try AtomicFile.createIfAbsent(path, mode: 0o600)
        let writing = try Connection(path: path, readOnly: false)
        try writing.executeScript("PRAGMA journal_mode=WAL")
        try writing.executeScript("PRAGMA synchronous=FULL")
        try writing.executeScript("PRAGMA foreign_keys=ON")
        let outcome = try IntegrityCheck(within: checkTime).run(on: writing)
        if case .damaged(let message) = outcome { throw StorageError.corrupt(path: path, message: message) }
        try writing.migrate(migrations, path: path)
        let reading = try Connection(path: path, readOnly: false)
        if let cacheMiB {
            for connection in [writing, reading] {
                try connection.executeScript("PRAGMA cache_size=-\(cacheMiB << 10)")
            }
            try writing.executeScript("PRAGMA wal_autocheckpoint=\(2 * cacheMiB << 20 / 4096)")
        }
        try reading.executeScript("PRAGMA query_only=ON")
        let writes = Confined(writing)
        let reads = Confined(reading)
        writer = WorkThread { Self.commit($0, on: writes) } stopped: {
            try? writes.value?.executeScript("PRAGMA wal_checkpoint(TRUNCATE)")
            writes.value = nil
        }
        reader = WorkThread { jobs in
            for job in jobs { Self.runRead(job, on: reads) }
        } stopped: {
            reads.value = nil
        }
        laterCheck = outcome == .unfinished ? IntegrityCheck(within: nil) : nil
        if let laterCheck { Self.check(path, laterCheck, onDamage) }
    }

    /// Goes through the file beside those who use it, as long as that takes.
    private static func check(
        _ path: String, _ check: IntegrityCheck, _ onDamage: @escaping @Sendable (StorageError) -> Void
    ) {
        DispatchQueue(label: "kars.database.check", qos: .background).async {
            do {
                let outcome = try check.run(on: Connection(path: path, readOnly: true))
                if case .damaged(let message) = outcome { onDamage(.corrupt(path: path, message: message)) }
            } catch let error as StorageError {
                // A page that cannot even be read ends the check with an error of its own.
                onDamage(error)
            } catch {}
        }
    }

    deinit { close() }

    /// Runs what is queued, checkpoints the journal and closes the file. Later calls throw ``StorageError/closed``.
    public func close() {
        laterCheck?.end()
        reader.stop()
        writer.stop()
    }

    /// Queues a change and returns its result once it is on disk.
    ///
    /// - Throws: what `body` throws, after undoing its statements only; a ``StorageError`` of the commit.
    public func write<T: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            submit(body) { continuation.resume(with: $0) }
        }
    }

    /// Queues a change from a thread that must not wait; `completion` runs on the writer thread after the
    /// commit.
    public func submit<T: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        enqueue(body, on: writer, completion: completion)
    }

    /// Runs a read that sees everything committed before the call.
    public func read<T: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            submitRead(body) { continuation.resume(with: $0) }
        }
    }

    /// Queues a read from a thread that must not wait; `completion` runs on the reader thread.
    public func submitRead<T: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> T,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        enqueue(body, on: reader, completion: completion)
    }

    /// ``write(_:)`` for start-up code and tests; blocks the calling thread.
    public func writeBlocking<T: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> T
    ) throws -> T {
        try Self.wait { submit(body, completion: $0) }
    }

    /// ``read(_:)`` for start-up code and tests; blocks the calling thread.
    public func readBlocking<T: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> T
    ) throws -> T {
        try Self.wait { submitRead(body, completion: $0) }
    }
}

extension Database {
    /// A connection on its way to the thread that will own it.
    ///
    /// `@unchecked Sendable`: after `init` only the one thread it was given to touches `value`.
    private final class Confined: @unchecked Sendable {
        var value: Connection?
        init(_ connection: Connection) { value = connection }
    }

    private func enqueue<T: Sendable>(
        _ body: @escaping @Sendable (Connection) throws -> T, on thread: WorkThread<Job>,
        completion: @escaping @Sendable (Result<T, any Error>) -> Void
    ) {
        let job = Job(
            run: { connection in
                let value = try body(connection)
                return { completion(.success(value)) }
            },
            fail: { completion(.failure($0)) })
        if !thread.submit(job) { completion(.failure(StorageError.closed)) }
    }

    private static func commit(_ jobs: [Job], on confined: Confined) {
        guard let connection = confined.value else { return }
        var succeeded: [@Sendable () -> Void] = []
        var accepted: [Job] = []
        var refused: [(Job, any Error)] = []
        do {
            try connection.executeScript("BEGIN IMMEDIATE")
            // Alone in its transaction a job needs no savepoint, for which every page would be kept twice.
            if jobs.count == 1 {
                succeeded.append(try jobs[0].run(connection))
                try connection.executeScript("COMMIT")
                succeeded[0]()
                return
            }
            for job in jobs {
                try connection.executeScript("SAVEPOINT job")
                do {
                    succeeded.append(try job.run(connection))
                    try connection.executeScript("RELEASE job")
                    accepted.append(job)
                } catch {
                    refused.append((job, error))
                    try connection.executeScript("ROLLBACK TO job")
                    try connection.executeScript("RELEASE job")
                }
            }
            try connection.executeScript("COMMIT")
        } catch {
            // A full disk can end the transaction under the savepoints: then nothing of the batch counts.
            try? connection.executeScript("ROLLBACK")
            for (job, reason) in refused { job.fail(reason) }
            for job in accepted { job.fail(error) }
            for job in jobs.dropFirst(refused.count + accepted.count) { job.fail(error) }
            return
        }
        for report in succeeded { report() }
        for (job, error) in refused { job.fail(error) }
    }

    private static func wait<T: Sendable>(
        _ start: (@escaping @Sendable (Result<T, any Error>) -> Void) -> Void
    ) throws -> T {
        let outcome = Outcome<T>()
        start { outcome.set($0) }
        return try outcome.wait().get()
    }

    /// A result that one thread waits for while another sets it.
    private final class Outcome<T: Sendable>: Sendable {
        private let result = Mutex<Result<T, any Error>?>(nil)
        private let isSet = DispatchSemaphore(value: 0)

        func set(_ value: Result<T, any Error>) {
            result.withLock { $0 = value }
            isSet.signal()
        }

        func wait() -> Result<T, any Error> {
            isSet.wait()
            return result.withLock { $0! }
        }
    }

    private static func runRead(_ job: Job, on confined: Confined) {
        guard let connection = confined.value else { return }
        do { try job.run(connection)() } catch { job.fail(error) }
    }
}
