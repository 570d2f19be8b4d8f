import Dispatch
import FoundationEssentials
import Glibc
import Observability
import Storage
import Synchronization

/// The node's end of the way to its pod's attendant: one connection after the other, and what was last heard over it.
///
/// Whoever connects must hand over the open file that holds the lock of ``AttendantPlace/lockName``; the agent cannot.
final class AttendantLink: Sendable {
    /// What is known of the attendant's last run.
    struct Run: Sendable, Equatable {
        var id: String
        var hasEnded: Bool
        /// The agent's status; nil when nobody could learn it.
        var status: Int32?
        /// When the attendant came; who asks for a change of it knows better since.
        var wasFrozen = false
    }

    private struct State {
        var connection: Int32?
        var run: Run?
        var number = 0
        var answers: [Int: CheckedContinuation<Result<Void, SandboxError>, Never>] = [:]
        var ends: [String: [CheckedContinuation<Int32?, Never>]] = [:]
        var isClosed = false
    }

    /// How long somebody who connects may take to show the lock.
    private static let proofTime = timeval(tv_sec: 0, tv_usec: 300_000)
    private static let lookMilliseconds: Int32 = 100

    private let listener: Int32
    private let lock: Int32
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter folder: the node's side of ``AttendantPlace/folder``.
    init(folder: String, logger: Logger) throws(SandboxError) {
        self.logger = logger
        let (socket, path) = ("\(folder)/\(AttendantPlace.socketName)", "\(folder)/\(AttendantPlace.lockName)")
        guard unlink(socket) == 0 || errno == ENOENT else { throw .lastFailure(socket) }
        lock = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard lock >= 0 else { throw .lastFailure(path) }
        do throws(SandboxError) {
            listener = try DescriptorPassing.listen(in: folder, name: AttendantPlace.socketName)
        } catch {
            close(lock)
            throw error
        }
    }

    /// Begins to listen; ``stop()`` ends it. The thread holds this object.
    func start() {
        DispatchQueue(label: "kars.node.attendant").async { [self] in
            while !state.withLock({ $0.isClosed }) {
                if let connection = awaitAttendant() { serve(connection) }
            }
            close(listener)
            close(lock)
        }
    }

    func stop() {
        state.withLock { state in
            state.isClosed = true
            if let connection = state.connection { shutdown(connection, Int32(SHUT_RDWR)) }
        }
    }

    // MARK: Asking

    /// The run that is there, or was the last, once an attendant is there.
    func run(within limit: Duration) async throws(SandboxError) -> Run? {
        let deadline = ContinuousClock.now + limit
        while true {
            let (isThere, run) = state.withLock { ($0.connection != nil, $0.run) }
            if isThere { return run }
            guard ContinuousClock.now < deadline, !Task.isCancelled else {
                throw .engine(reason: "the agent's container of this pod does not come within \(limit)")
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    func isAlive(_ run: String) -> Bool { state.withLock { $0.run?.id == run && $0.run?.hasEnded == false } }

    /// Asks, and waits for the answer; after an attendant's end the answer is that it ended.
    func ask(_ request: AttendantRequest) async throws(SandboxError) {
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Void, SandboxError>, Never>) in
            state.withLock { state in
                guard let connection = state.connection else { return continuation.resume(returning: .failure(Self.gone)) }
                state.number += 1
                var request = request
                request.number = state.number
                guard let bytes = try? JSONEncoder().encode(request), bytes.count < AttendantPlace.maximumLineBytes else {
                    return continuation.resume(returning: .failure(.invalidSpec(reason: "the start is too long to be told")))
                }
                // Known before the answer can come.
                state.answers[request.number] = continuation
                if request.action == .start { state.run = Run(id: request.run, hasEnded: false) }
                let line = Array(bytes) + [UInt8(ascii: "\n")]
                guard send(connection, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
                    state.answers[request.number] = nil
                    return continuation.resume(returning: .failure(Self.gone))
                }
            }
        }
        try result.get()
    }

    /// Waits for a run's end.
    func end(of run: String) async -> Int32? {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                guard let known = state.run, known.id == run, !known.hasEnded else {
                    return continuation.resume(returning: state.run?.id == run ? state.run?.status : nil)
                }
                state.ends[run, default: []].append(continuation)
            }
        }
    }

    private static let gone = SandboxError.engine(reason: "the agent's container of this pod is not there")

    // MARK: Listening

    /// Waits for somebody who holds the lock. Meanwhile a lock that nobody holds tells that the attendant has died, and
    /// every process of its container with it.
    private func awaitAttendant() -> Int32? {
        var wait = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, Self.lookMilliseconds) == 1 else {
            if flock(lock, LOCK_EX | LOCK_NB) == 0 {
                flock(lock, LOCK_UN)
                endRun(status: nil)
            }
            return nil
        }
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { return nil }
        _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
        var patience = Self.proofTime
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        guard let file = (try? DescriptorPassing.take(1, from: connection))?.first else {
            close(connection)
            return nil
        }
        defer { close(file) }
        guard holdsLock(file) else {
            logger.warn("somebody posed as the attendant of this pod")
            close(connection)
            return nil
        }
        return connection
    }

    /// Whether an open file is the very one that holds the lock: the lock belongs to an open file, so only through that
    /// one it can be taken once more.
    private func holdsLock(_ file: Int32) -> Bool {
        var (own, other) = (stat(), stat())
        guard fstat(lock, &own) == 0, fstat(file, &other) == 0, own.st_dev == other.st_dev, own.st_ino == other.st_ino
        else { return false }
        if flock(lock, LOCK_EX | LOCK_NB) == 0 {
            flock(lock, LOCK_UN)
            return false
        }
        return flock(file, LOCK_EX | LOCK_NB) == 0
    }

    private func serve(_ connection: Int32) {
        var lines = LineReader(socket: connection)
        defer {
            let waiting = state.withLock { state in
                state.connection = nil
                defer { state.answers = [:] }
                return Array(state.answers.values)
            }
            for answer in waiting { answer.resume(returning: .failure(Self.gone)) }
            close(connection)
        }
        guard let first = lines.next().flatMap(Self.notice) else { return }
        // From here on it may be silent for as long as it has nothing to say.
        var patience = timeval(tv_sec: 0, tv_usec: 0)
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let known = state.withLock { $0.run }
        if let run = first.run {
            if let known, known.id != run { endRun(status: nil) }
            if first.hasEnded == true, known?.id == run { endRun(status: first.status) }
            state.withLock { 
                $0.run = Run(
                    id: run, hasEnded: first.hasEnded ?? false, status: first.status, wasFrozen: first.isFrozen ?? false)
            }
        } else {
            // A new container, in which nothing ran yet.
            endRun(status: nil)
        }
        let goesOn = state.withLock { state in
            guard !state.isClosed else { return false }
            state.connection = connection
            return true
        }
        guard goesOn else { return }
        while let notice = lines.next().flatMap(Self.notice) { take(notice) }
    }

    private static func notice(_ line: [UInt8]) -> AttendantNotice? {
        try? JSONDecoder().decode(AttendantNotice.self, from: Data(line))
    }

    private func take(_ notice: AttendantNotice) {
        if let number = notice.number {
            let answer = state.withLock { $0.answers.removeValue(forKey: number) }
            let result = notice.error.map { Result<Void, SandboxError>.failure(.engine(reason: $0)) } ?? .success(())
            answer?.resume(returning: result)
        } else if notice.hasEnded == true, state.withLock({ $0.run?.id }) == notice.run {
            endRun(status: notice.status)
        }
    }

    private func endRun(status: Int32?) {
        let (waiting, ended) = state.withLock { state -> ([CheckedContinuation<Int32?, Never>], Int32?) in
            guard let run = state.run else { return ([], nil) }
            if !run.hasEnded {
                state.run?.hasEnded = true
                state.run?.status = status
            }
            return (state.ends.removeValue(forKey: run.id) ?? [], state.run?.status)
        }
        for end in waiting { end.resume(returning: ended) }
    }
}
