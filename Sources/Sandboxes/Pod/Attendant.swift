import Dispatch
import FoundationEssentials
import Glibc
import Synchronization

/// The first process of the agent's container in a pod (`kars sandbox-init --attend FOLDER`): starts the sandbox's init
/// whenever the node in the container beside it says so, freezes and ends what runs, and tells how it ended.
///
/// A pod's containers are made once, while an agent is started, stopped and replaced many times; so somebody has to stay.
/// The attendant outlives its node: it connects again, and the next node finds the run that is there.
///
/// It proves who it is by a lock that it takes before any agent runs and never gives away: whoever hands the node the
/// open file that holds the lock is the attendant. When it dies the kernel ends every process of the container, so
/// nobody else can come to the lock while an agent runs.
final class Attendant: Sendable {
    private struct State {
        var connection: Int32?
        var run: String?
        var pid: pid_t?
        var status: Int32?
        var isFrozen = false
        var isEnding = false
    }

    private static let restTime = Duration.seconds(5)
    private static let retryMicroseconds: UInt32 = 20_000

    private let folder: String
    private let lock: Int32
    private let program: [String]
    private let state = Mutex(State())

    /// Never returns.
    ///
    /// - Parameters:
    ///   - signals: blocked in every thread; this one waits for them.
    ///   - program: the words that run kars.
    static func run(folder: String, signals: sigset_t, program: [String]) -> Never {
        awaitTurn(signals)
        let path = "\(folder)/\(AttendantPlace.lockName)"
        var lock: Int32 = -1
        // The node makes the file, and may come later than this container.
        while lock < 0 {
            lock = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
            if lock < 0 { usleep(retryMicroseconds) }
        }
        // An attendant before this one is about to be gone.
        while flock(lock, LOCK_EX) != 0 { guard errno == EINTR else { _exit(125) } }
        let attendant = Attendant(folder: folder, lock: lock, program: program)
        DispatchQueue(label: "kars.sandbox.attendant").async { attendant.talk() }
        attendant.reap(signals)
    }

    /// Waits for the end of a pod before this one: its place is filled at once when it is deleted, while its agent may have
    /// its whole grace, and two must never run on one workspace. The lock is this process's until it dies.
    private static func awaitTurn(_ signals: sigset_t) {
        let hold = open(AttendantPlace.hold, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard hold >= 0 else { _exit(125) }
        var waited = signals
        while flock(hold, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else { _exit(125) }
            var pause = timespec(tv_sec: 0, tv_nsec: Int(retryMicroseconds) * 1_000)
            // Nothing runs yet that would have to be told of an end.
            let signal = sigtimedwait(&waited, nil, &pause)
            if signal > 0, signal != SIGCHLD { _exit(0) }
        }
    }

    private init(folder: String, lock: Int32, program: [String]) {
        self.folder = folder
        self.lock = lock
        self.program = program
    }

    // MARK: The node

    /// Takes requests, over one connection after the other.
    private func talk() -> Never {
        while true {
            guard let connection = try? DescriptorPassing.connect("\(folder)/\(AttendantPlace.socketName)") else {
                usleep(Self.retryMicroseconds)
                continue
            }
            serve(connection)
            state.withLock { $0.connection = nil }
            close(connection)
            usleep(Self.retryMicroseconds)
        }
    }

    private func serve(_ connection: Int32) {
        guard (try? DescriptorPassing.send([lock], over: connection)) != nil else { return }
        // Inside the lock, so that an end is told either by this first word or after it.
        state.withLock { state in
            say(
                AttendantNotice(
                    run: state.run, hasEnded: state.run == nil ? nil : state.pid == nil, status: state.status,
                    isFrozen: state.isFrozen),
                over: connection)
            state.connection = connection
        }
        var lines = LineReader(socket: connection)
        while let line = lines.next() {
            guard let request = try? JSONDecoder().decode(AttendantRequest.self, from: Data(line)) else { return }
            var answer = AttendantNotice(number: request.number)
            do throws(SandboxError) { try perform(request) } catch { answer.error = error.description }
            state.withLock { _ in say(answer, over: connection) }
        }
    }

    private func say(_ notice: AttendantNotice, over connection: Int32) {
        guard let bytes = try? JSONEncoder().encode(notice) else { return }
        let line = Array(bytes) + [UInt8(ascii: "\n")]
        _ = send(connection, line, line.count, Int32(MSG_NOSIGNAL))
    }

    private func perform(_ request: AttendantRequest) throws(SandboxError) {
        if request.action == .start { return try start(request) }
        let pid = state.withLock { $0.run == request.run ? $0.pid : nil }
        // One that ended cannot be frozen, and needs no signal any more.
        guard let pid else {
            guard request.action == .kill else { throw .wrongState(name: request.run, needed: "running") }
            return
        }
        switch request.action {
        case .start: break
        case .freeze:
            try freeze(request.run)
            state.withLock { $0.isFrozen = true }
        case .thaw:
            kill(-1, SIGCONT)
            state.withLock { $0.isFrozen = false }
        case .kill where request.signal == SIGKILL: kill(-1, SIGKILL)
        case .kill: kill(pid, request.signal ?? SIGTERM)
        }
    }

    private func start(_ request: AttendantRequest) throws(SandboxError) {
        guard let arguments = request.arguments, arguments.first == "sandbox-init" else {
            throw .invalidSpec(reason: "a start without the init's arguments")
        }
        // Of a run before, whose node did not see its end.
        kill(-1, SIGKILL)
        let environment = Self.environment(adding: request.environment ?? [:])
        try state.withLock { state throws(SandboxError) in
            guard !state.isEnding else { throw .wrongState(name: request.run, needed: "to be ended with its pod") }
            let devices = [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
            state.pid = try Spawn.start(program + arguments, environment: environment, descriptors: devices)
            state.run = request.run
            state.status = nil
            state.isFrozen = false
        }
    }

    /// Programs of an image are where the image says; nothing else of the container's own variables is the agent's.
    private static func environment(adding variables: [String: String]) -> [String: String] {
        var environment = variables
        for name in ["PATH", "LANG"] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return environment
    }

    /// Every process but this one; a signal to all reaches even those that are just being made, and a look at each
    /// shows when all stand.
    private func freeze(_ run: String) throws(SandboxError) {
        let deadline = ContinuousClock.now + Self.restTime
        var attempt = 0
        while true {
            kill(-1, SIGSTOP)
            if Self.allStand() { return }
            attempt += 1
            guard ContinuousClock.now < deadline else {
                kill(-1, SIGCONT)
                throw .cannotFreeze(name: run)
            }
            // A child stopped between vfork(2) and exec keeps its parent in the kernel, where no signal stops it: both
            // get a moment to leave that place.
            if attempt.isMultiple(of: 25) { kill(-1, SIGCONT) }
            usleep(1_000)
        }
    }

    private static func allStand() -> Bool {
        guard let folder = opendir("/proc") else { return false }
        defer { closedir(folder) }
        let own = getpid()
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let pid = pid_t(name), pid != own, let state = ProcessTable.status(of: pid)?.state else { continue }
            guard ["T", "t", "Z", "X"].contains(state) else { return false }
        }
        return true
    }

    // MARK: The run

    /// Collects every process that ends: as the first one of its container this is the parent of all orphans.
    private func reap(_ signals: sigset_t) -> Never {
        var waited = signals
        while true {
            var number: Int32 = 0
            guard sigwait(&waited, &number) == 0 else { continue }
            if number == SIGCHLD { collect() } else { end() }
        }
    }

    private func collect() {
        while true {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            state.withLock { state in
                guard pid == state.pid else { return }
                // What the agent left behind ends with it, as in every sandbox.
                kill(-1, SIGKILL)
                state.pid = nil
                state.status = Spawn.exitStatus(status)
                if state.isEnding { _exit(0) }
                guard let connection = state.connection else { return }
                say(AttendantNotice(run: state.run, hasEnded: true, status: state.status), over: connection)
            }
        }
    }

    /// The pod ends: so does the run, by its own word, before the kubelet's patience does. A frozen one gets none, since
    /// it must not run for another moment: it ends as it stands, with this process.
    private func end() {
        state.withLock { state in
            guard let pid = state.pid, !state.isFrozen else { _exit(0) }
            state.isEnding = true
            kill(pid, SIGTERM)
        }
    }
}

/// Reads lines of a socket, at most ``AttendantPlace/maximumLineBytes`` each.
struct LineReader {
    private let socket: Int32
    private var pending: [UInt8] = []
    private var chunk = [UInt8](repeating: 0, count: 16 << 10)

    init(socket: Int32) { self.socket = socket }

    /// Nil at the end, and at a line that is too long.
    mutating func next() -> [UInt8]? {
        var searched = 0
        while true {
            if let end = pending[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(pending[..<end])
                pending.removeSubrange(...end)
                return line
            }
            searched = pending.count
            guard pending.count < AttendantPlace.maximumLineBytes else { return nil }
            let count = recv(socket, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            pending += chunk[..<count]
        }
    }
}
