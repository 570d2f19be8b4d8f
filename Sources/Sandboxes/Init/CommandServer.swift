import Dispatch
import FoundationEssentials
import Glibc
import Synchronization

/// Runs further programs beside the agent, such as a shell for its operator.
///
/// It listens in the sandbox's folder, which the host gives to the node's user alone. The agent can reach it too, and
/// gains nothing: what runs here is as confined as the agent. The caller hands over the descriptors that the program
/// gets; when it goes away the program is hung up on.
final class CommandServer: Sendable {
    /// At once; more are refused.
    static let maximumCommands = 16
    static let maximumRequestBytes = 64 << 10
    /// How long a request may take to come, and a program to end once nobody wants it any more.
    private static let patience = timeval(tv_sec: 5, tv_usec: 0)
    private static let farewell: UInt32 = 2

    /// What is to be run.
    struct Request: Codable {
        var command: [String]
        /// Added to the agent's variables.
        var environment: [String: String]
        /// The descriptors are a terminal, which the program is to control.
        var hasTerminal: Bool
    }

    /// What became of it.
    struct Answer: Codable {
        var status: Int32?
        var error: String?
    }

    private struct State {
        /// The caller by the program's process.
        var callers: [pid_t: Int32] = [:]
        var count = 0
    }

    private let bounds: [SandboxInit.Bound]
    private let program: [String]
    private let environment: [String: String]
    private let state = Mutex(State())

    /// - Parameters:
    ///   - bounds: limits of each program.
    ///   - program: the words that run kars.
    ///   - environment: the agent's.
    init(bounds: [SandboxInit.Bound], program: [String], environment: [String: String]) {
        self.bounds = bounds
        self.program = program
        self.environment = environment
    }

    func start() throws(SandboxError) {
        let listener = try DescriptorPassing.listen(in: SandboxLayout.run, name: SandboxLayout.commandsName)
        DispatchQueue(label: "kars.sandbox.commands").async { [self] in
            while true {
                let caller = accept(listener, nil, nil)
                guard caller >= 0 else {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    return
                }
                _ = fcntl(caller, F_SETFD, FD_CLOEXEC)
                guard take() else {
                    Self.say(Answer(error: "\(Self.maximumCommands) programs run already"), to: caller)
                    close(caller)
                    continue
                }
                // A queue each: those of the system make threads slowly while others wait.
                DispatchQueue(label: "kars.sandbox.command").async {
                    self.serve(caller)
                    close(caller)
                    self.state.withLock { $0.count -= 1 }
                }
            }
        }
    }

    private func take() -> Bool {
        state.withLock { state in
            guard state.count < Self.maximumCommands else { return false }
            state.count += 1
            return true
        }
    }

    private func serve(_ caller: Int32) {
        var patience = Self.patience
        setsockopt(caller, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let pid: pid_t
        do throws(SandboxError) {
            let files = try DescriptorPassing.take(3, from: caller)
            defer { for file in files { close(file) } }
            guard let line = Self.line(from: caller),
                let request = try? JSONDecoder().decode(Request.self, from: Data(line)), !request.command.isEmpty,
                request.environment.keys.allSatisfy(SandboxSpec.isVariable)
            else { throw .invalidSpec(reason: "the request is not understood") }
            pid = try run(request, files, caller)
        } catch {
            return Self.say(Answer(error: error.description), to: caller)
        }
        // Until the caller goes away, or the end of the program ends this.
        patience = timeval(tv_sec: 0, tv_usec: 0)
        setsockopt(caller, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var byte: UInt8 = 0
        while true {
            let count = recv(caller, &byte, 1, 0)
            guard count > 0 || (count < 0 && errno == EINTR) else { break }
        }
        guard state.withLock({ $0.callers.removeValue(forKey: pid) }) != nil else { return }
        kill(-pid, SIGHUP)
        sleep(Self.farewell)
        kill(-pid, SIGKILL)
    }

    private func run(_ request: Request, _ files: [Int32], _ caller: Int32) throws(SandboxError) -> pid_t {
        var words = SandboxInit.arguments(bounds: bounds, command: request.command)
        words.insert(contentsOf: request.hasTerminal ? ["--exec", "--terminal"] : ["--exec"], at: 1)
        let (arguments, variables) = (program + words, environment.merging(request.environment) { $1 })
        // Inside the lock, so that an end is not looked for before its caller is known.
        return try state.withLock { state throws(SandboxError) in
            let pid = try Spawn.start(arguments, environment: variables, descriptors: files)
            state.callers[pid] = caller
            return pid
        }
    }

    /// Tells the caller of a program that ended; whoever reaps asks for each process that is not the agent.
    func ended(_ pid: pid_t, _ status: Int32) {
        state.withLock { state in
            guard let caller = state.callers.removeValue(forKey: pid) else { return }
            Self.say(Answer(status: status), to: caller)
            shutdown(caller, Int32(SHUT_RDWR))
        }
    }

    private static func say(_ answer: Answer, to caller: Int32) {
        guard let bytes = try? JSONEncoder().encode(answer) else { return }
        let line = Array(bytes) + [UInt8(ascii: "\n")]
        _ = Glibc.send(caller, line, line.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }

    /// A line of at most ``maximumRequestBytes``, byte by byte: what follows it is not ours.
    static func line(from socket: Int32) -> [UInt8]? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while line.count < maximumRequestBytes {
            let count = recv(socket, &byte, 1, 0)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { return nil }
            if byte == UInt8(ascii: "\n") { return line }
            line.append(byte)
        }
        return nil
    }
}
