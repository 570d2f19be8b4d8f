import Dispatch
import Glibc
import Observability
import Transport

/// The first process of a sandbox (`kars sandbox-init`): starts the agent, carries its gateway to a Unix
/// socket, keeps its output in bounded logs, reaps orphans, and ends as the agent ends.
///
/// All forms are for the drivers only:
///
///     kars sandbox-init [--limit NAME=NUMBER]… -- COMMAND…       as process 1, with the driver's descriptors
///     kars sandbox-init --meet PATH [--limit NAME=NUMBER]… -- COMMAND…   as process 1; the node hands them over there
///     kars sandbox-init --attend FOLDER         as process 1 of a pod's container, which starts the others
///     kars sandbox-init --prepare-pod NAME [-- COMMAND…]   readies a pod's volumes and becomes COMMAND
///     kars sandbox-init --exec [--terminal] [--limit NAME=NUMBER]… -- COMMAND…   sets the limits and becomes COMMAND
public enum SandboxInit {
    /// Never returns. Call it first thing in `main`, while the process has one thread: it sets the signal
    /// mask all later threads inherit.
    ///
    /// - Parameter arguments: what follows `sandbox-init`.
    public static func run(arguments: [String]) -> Never {
        guard let invocation = Invocation(parsing: arguments) else {
            fail("sandbox-init is started by kars node only", status: 2)
        }
        if invocation.becomesCommand { become(invocation) }
        if let name = invocation.preparedPod { PodPreparation.run(sandbox: name, command: invocation.command) }
        let signals = block([SIGCHLD, SIGTERM, SIGINT, SIGHUP])
        LinuxCalls.hideFromOtherProcesses()
        if let folder = invocation.attendedFolder { Attendant.run(folder: folder, signals: signals, program: program) }
        let talk = BubblewrapArguments.Descriptor.talk.rawValue
        if let path = invocation.meetingPlace { meetNode(path, talk: talk) }
        awaitNode(talk)
        carryGateway()
        let commands = CommandServer(
            bounds: invocation.bounds, program: program, environment: currentEnvironment())
        do { try commands.start() } catch { fail("commands cannot be taken: \(error)", status: 125) }
        guard send(talk, "r", 1, Int32(MSG_NOSIGNAL)) == 1 else { failWithoutNode() }
        let agent: Agent
        if awaitNode(talk) == Word.load {
            let (loaded, word) = load(invocation)
            awaitNode(talk)
            var byte = Word.start
            _ = write(word, &byte, 1)
            close(word)
            agent = loaded
        } else {
            agent = startAgent(invocation, standby: nil)
        }
        close(talk)
        supervise(agent, commands, signals)
    }

    /// What the node says, one byte each.
    enum Word {
        /// Carry the gateway's socket.
        static let go = UInt8(ascii: "g")
        /// Start an agent that knows standby; it waits for ``start``.
        static let load = UInt8(ascii: "l")
        /// The workspace is whole: the agent begins.
        static let start = UInt8(ascii: "s")
    }

    /// The end of every failing path; `status` 125 and up as shells use them.
    private static func fail(_ text: String, status: Int32) -> Never {
        var line = "sandbox-init: \(text)\n"
        line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
        _exit(status)
    }

    private static func block(_ numbers: [Int32]) -> sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in numbers { sigaddset(&signals, number) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        return signals
    }

    /// Waits for the node's word. If the node dies before, the socket ends, and so does a sandbox nobody
    /// would know of.
    @discardableResult
    private static func awaitNode(_ talk: Int32) -> UInt8 {
        var byte: UInt8 = 0
        while true {
            let count = recv(talk, &byte, 1, 0)
            if count < 0 && errno == EINTR { continue }
            guard count == 1 else { failWithoutNode() }
            return byte
        }
    }

    /// How kars is run inside: by the loader that came along with it, where there is one.
    private static var program: [String] {
        access(DockerRuntime.loader, X_OK) == 0 ? DockerRuntime.program : [SandboxLayout.kars]
    }

    /// Takes over what the driver's other sandboxes inherit: the logs, and the way to the node.
    private static func meetNode(_ path: String, talk: Int32) {
        do {
            let descriptors = try DescriptorPassing.receive(from: path, count: 3)
            typealias Target = BubblewrapArguments.Descriptor
            let targets = [Target.agentLog.rawValue, Target.rotatedAgentLog.rawValue, STDERR_FILENO, talk]
            for (source, target) in zip(descriptors.files + [descriptors.socket], targets) {
                guard LinuxCalls.replace(target, with: source) else { throw SandboxError.lastFailure("a descriptor") }
                close(source)
            }
            // Unlike the others it must outlast the step to the agent's process.
            _ = fcntl(STDERR_FILENO, F_SETFD, 0)
        } catch { fail("the node is not there: \(error)", status: 125) }
    }

    private static func failWithoutNode() -> Never { fail("the node went away before the start", status: 125) }

    /// `/run/kars/gateway.sock` → the agent's gateway on the sandbox's loopback.
    private static func carryGateway() {
        let ready = DispatchSemaphore(value: 0)
        Task.detached {
            do {
                let loop = try EventLoop(name: "gateway")
                forwarder = try await StreamForwarder(
                    loop: loop, listen: .unix(path: SandboxLayout.run + "/" + SandboxLayout.socketName),
                    target: Endpoint(parsing: SandboxLayout.gateway))
                ready.signal()
            } catch { fail("the gateway cannot be carried: \(error)", status: 125) }
        }
        ready.wait()
    }

    /// Kept for the life of the process. Safe: written once, before `ready` is signalled, and never read.
    private nonisolated(unsafe) static var forwarder: StreamForwarder?

    /// The agent's process, and what tells that all it printed is in its log.
    private struct Agent: Sendable {
        let pid: pid_t
        let drained = DispatchSemaphore(value: 0)
    }

    /// Starts an agent that waits on a pipe for its word.
    ///
    /// - Returns: the agent and the end of the pipe to write to.
    private static func load(_ invocation: Invocation) -> (Agent, word: Int32) {
        do {
            let pipe = try LinuxCalls.makePipe()
            defer { close(pipe.read) }
            return (startAgent(invocation, standby: pipe.read), pipe.write)
        } catch { fail("\(error)", status: 126) }
    }

    /// - Parameter standby: where the agent reads the word to begin, for one that knows how.
    private static func startAgent(_ invocation: Invocation, standby: Int32?) -> Agent {
        let output = RotatingLog(
            current: BubblewrapArguments.Descriptor.agentLog.rawValue,
            previous: BubblewrapArguments.Descriptor.rotatedAgentLog.rawValue)
        do {
            let pipe = try LinuxCalls.makePipe()
            var environment = currentEnvironment()
            var descriptors = [STDIN_FILENO, pipe.write, pipe.write]
            if let standby {
                environment[SandboxLayout.standbyVariable] = "\(descriptors.count)"
                descriptors.append(standby)
            }
            let agent = Agent(
                pid: try Spawn.start(
                    program
                        + arguments(bounds: invocation.bounds, command: invocation.command)
                        .inserting("--exec", at: 1),
                    environment: environment, descriptors: descriptors))
            close(pipe.write)
            DispatchQueue(label: "kars.sandbox.log").async {
                output.copy(from: pipe.read)
                agent.drained.signal()
            }
            return agent
        } catch { fail("\(error)", status: 126) }
    }

    private static func supervise(_ agent: Agent, _ commands: CommandServer, _ signals: sigset_t) -> Never {
        var waited = signals
        while true {
            var number: Int32 = 0
            guard sigwait(&waited, &number) == 0 else { continue }
            guard number == SIGCHLD else {
                kill(agent.pid, number)
                continue
            }
            var status: Int32 = 0
            while true {
                let pid = waitpid(-1, &status, WNOHANG)
                guard pid > 0 else { break }
                guard pid == agent.pid else {
                    commands.ended(pid, Spawn.exitStatus(status))
                    continue
                }
                // A process the agent left behind may hold the pipe open: its output is not waited for.
                _ = agent.drained.wait(timeout: .now() + .milliseconds(200))
                _exit(Spawn.exitStatus(status))
            }
        }
    }

    /// In the agent's process: takes the limits on and becomes the agent.
    private static func become(_ invocation: Invocation) -> Never {
        if invocation.takesTerminal {
            let takeTerminal: UInt = 0x540E  // TIOCSCTTY
            guard ioctl(STDIN_FILENO, takeTerminal, 0) == 0 else {
                fail("the terminal: \(String(cString: strerror(errno)))", status: 126)
            }
        }
        for bound in invocation.bounds {
            var limit = rlimit(rlim_cur: rlim_t(bound.value), rlim_max: rlim_t(bound.value))
            guard setrlimit(bound.resource.number, &limit) == 0 else {
                fail("limit \(bound.resource.rawValue): \(String(cString: strerror(errno)))", status: 126)
            }
        }
        var command = invocation.command
        if command.first == SandboxLayout.kars { command.replaceSubrange(0..<1, with: program) }
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        // An image may name its program without a folder.
        if command[0].contains("/") { execv(command[0], &arguments) } else { execvp(command[0], &arguments) }
        let reason = String(cString: strerror(errno))
        fail("cannot run \(invocation.command[0]): \(reason)", status: errno == ENOENT ? 127 : 126)
    }

    private static func currentEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
            entry += 1
        }
        return variables
    }
}

extension [String] {
    fileprivate func inserting(_ word: String, at index: Int) -> [String] {
        var copy = self
        copy.insert(word, at: index)
        return copy
    }
}
