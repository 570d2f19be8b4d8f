import Glibc

/// Starts a program with exactly the descriptors, environment and signal state it is given.
public enum Spawn {
    /// - Parameters:
    ///   - descriptors: what the child sees as 0, 1, 2, …; everything else is closed in it.
    ///   - newSession: leaves the caller's terminal and process group.
    public static func start(
        _ arguments: [String], environment: [String: String], descriptors: [Int32], newSession: Bool = true
    ) throws(SandboxError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // First out of the way of the targets, so that no `dup2` hits a source not yet copied.
        let sources = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 128) }
        defer { for source in sources where source >= 0 { close(source) } }
        guard sources.allSatisfy({ $0 >= 0 }) else { throw .lastFailure("a descriptor") }
        for (target, source) in sources.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, source, Int32(target))
        }
        LinuxCalls.closeFrom(Int32(sources.count), in: &actions)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let setSignalDefault: Int16 = 0x04, setSignalMask: Int16 = 0x08, setSession: Int16 = 0x80
        posix_spawnattr_setflags(
            &attributes, setSignalDefault | setSignalMask | (newSession ? setSession : 0))

        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, arguments[0], &actions, &attributes, &argv, &envp)
        guard status == 0 else {
            throw .system(what: "cannot run \(arguments[0])", reason: String(cString: strerror(status)))
        }
        return pid
    }

    /// Waits for a child of this process and returns its status, 128 + n after signal n.
    static func reap(_ pid: pid_t) -> Int32? {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            if errno != EINTR { return nil }
        }
        return exitStatus(status)
    }

    static func exitStatus(_ status: Int32) -> Int32 {
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }
}
