import CSQLite
import Dispatch
import Synchronization

/// Looks through a database for damage (`PRAGMA quick_check`), for a bounded time, and can be ended from elsewhere.
final class IntegrityCheck: Sendable {
    enum Outcome: Equatable {
        case sound
        case damaged(String)
        /// The time was over, or it was ended.
        case unfinished
    }

    /// Steps of SQLite's machine between two looks at the clock.
    private static let interval: Int32 = 1_000

    private let deadline: ContinuousClock.Instant?
    private let isEnded = Atomic(false)

    /// - Parameter limit: nil is without limit.
    init(within limit: Duration?) { deadline = limit.map { .now + $0 } }

    /// Ends the check soon.
    func end() { isEnded.store(true, ordering: .relaxed) }

    private var mustStop: Bool {
        isEnded.load(ordering: .relaxed) || deadline.map { ContinuousClock.now >= $0 } ?? false
    }

    /// Blocks.
    func run(on connection: Connection) throws -> Outcome {
        guard !mustStop else { return .unfinished }
        return try withExtendedLifetime(self) {
            connection.onProgress(every: Self.interval, Unmanaged.passUnretained(self).toOpaque()) { context in
                // Set by the line above, and this object outlives the handler.
                guard let context else { return 0 }
                return Unmanaged<IntegrityCheck>.fromOpaque(context).takeUnretainedValue().mustStop ? 1 : 0
            }
            defer { connection.onProgress(every: 0, nil, nil) }
            do {
                let text = try connection.first("PRAGMA quick_check(1)") { $0.text(0) } ?? "no answer"
                return text == "ok" ? .sound : .damaged(text)
            } catch StorageError.sqlite(let code, _, _) where code & 0xFF == SQLITE_INTERRUPT {
                return .unfinished
            }
        }
    }
}
