import Dispatch
import Glibc

/// Runs a program to its end and collects what it prints; blocks its thread.
enum PluginProcess {
    /// Where it may block.
    static let queue = DispatchQueue(label: "kars.resources.plugins", attributes: .concurrent)
    /// Longest output in bytes.
    static let maximumOutputBytes = 1 << 20

    /// - Parameter usesTerminal: hands our standard input on; otherwise there is none. Its complaints go where ours
    ///   go, as a person may be asked there to sign in.
    /// - Returns: its exit status, 128 + n after signal n, and its standard output.
    static func run(
        _ path: String, _ arguments: [String], environment: [String: String], usesTerminal: Bool, patience: Duration
    ) throws(KubernetesError) -> (status: Int32, output: [UInt8]) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw failure(path, errno) }
        let output = ends[0]
        defer { close(output) }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        let pid = try started(path, arguments, environment, output: ends[1], usesTerminal: usesTerminal)
        let collected = collect(output, patience: patience)
        if collected == nil { kill(pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        guard let collected else {
            throw .credentials("the credential plug-in \(path) took too long or printed too much; run it by hand to see why")
        }
        let signal = status & 0x7F
        return (signal == 0 ? (status >> 8) & 0xFF : 128 + signal, collected)
    }

    /// Starts it; our copy of its output is closed in any case, so that reading ends when the program does.
    private static func started(
        _ path: String, _ arguments: [String], _ environment: [String: String], output: Int32, usesTerminal: Bool
    ) throws(KubernetesError) -> pid_t {
        defer { close(output) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if !usesTerminal { posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        // Nothing else that is open here is the program's.
        _ = addCloseFrom(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let setSignalDefault: Int16 = 0x04, setSignalMask: Int16 = 0x08
        posix_spawnattr_setflags(&attributes, setSignalDefault | setSignalMask)

        var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, path, &actions, &attributes, &argv, &envp)
        guard status == 0 else { throw failure(path, status) }
        return pid
    }

    /// Everything up to the end; nil past the bound of time or bytes.
    private static func collect(_ descriptor: Int32, patience: Duration) -> [UInt8]? {
        let deadline = ContinuousClock.now + patience
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let left = (deadline - .now).components
            guard left.seconds >= 0, left.attoseconds >= 0 else { return nil }
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watched, 1, Int32(clamping: left.seconds * 1000 + left.attoseconds / 1_000_000_000_000_000 + 1))
            if ready < 0 && errno == EINTR { continue }
            guard ready > 0 else { return nil }
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= maximumOutputBytes else { return nil }
        }
    }

    /// Hidden by the Glibc module behind `_GNU_SOURCE`.
    private static let addCloseFrom: @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32 = {
        guard let address = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else {
            fatalError("this C library cannot close descriptors of a new process; glibc 2.34 can")
        }
        return unsafeBitCast(
            address, to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)
    }()

    private static func failure(_ path: String, _ number: Int32) -> KubernetesError {
        .credentials("the credential plug-in \(path) cannot be run: \(String(cString: strerror(number)))")
    }
}
