import Glibc

/// System calls the Glibc module hides behind `_GNU_SOURCE`, looked up in the running C library.
enum LinuxCalls {
    static let openPathOnly: Int32 = 0o10_000_000  // O_PATH

    /// A file of 0600 that no folder names, gone with its last descriptor.
    static func makeUnnamedFile() throws(SandboxError) -> Int32 {
        var path = Array("/tmp/kars-XXXXXX".utf8CString)
        let file = mkstemp(&path)
        guard file >= 0 else { throw .lastFailure("a temporary file") }
        unlink(path)
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        return file
    }

    /// A pipe no other child inherits.
    static func makePipe() throws(SandboxError) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw .lastFailure("a pipe") }
        return (ends[0], ends[1])
    }

    /// A descriptor of a process that keeps meaning that process; nil when it is gone.
    static func openProcess(_ pid: pid_t) -> Int32? {
        let descriptor = pidfdOpen(pid, 0)
        return descriptor >= 0 ? descriptor : nil
    }

    /// Signals the very process the descriptor was opened for, never one that got its number.
    @discardableResult
    static func signal(_ process: Int32, _ number: Int32) -> Bool { pidfdSendSignal(process, number, nil, 0) == 0 }

    /// Puts an open file in place of another descriptor, or at the first free one.
    static func replace(_ target: Int32, with source: Int32) -> Bool { dup3(source, target, O_CLOEXEC) >= 0 }

    /// Hides this process's memory and descriptors from others of its user.
    static func hideFromOtherProcesses() { _ = prctl(4 /* PR_SET_DUMPABLE */, 0, 0, 0, 0) }

    static func closeFrom(_ first: Int32, in actions: inout posix_spawn_file_actions_t) {
        _ = addCloseFrom(&actions, first)
    }

    private static let pipe2 = symbol(
        "pipe2", as: (@convention(c) (UnsafeMutablePointer<Int32>, Int32) -> Int32).self)
    private static let dup3 = symbol("dup3", as: (@convention(c) (Int32, Int32, Int32) -> Int32).self)
    private static let prctl = symbol(
        "prctl", as: (@convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32).self)
    private static let pidfdOpen = symbol("pidfd_open", as: (@convention(c) (pid_t, UInt32) -> Int32).self)
    private static let pidfdSendSignal = symbol(
        "pidfd_send_signal", as: (@convention(c) (Int32, Int32, UnsafeMutableRawPointer?, UInt32) -> Int32).self)
    private static let addCloseFrom = symbol(
        "posix_spawn_file_actions_addclosefrom_np",
        as: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)

    private static func symbol<Function>(_ name: String, as type: Function.Type) -> Function {
        guard let address = dlsym(nil, name) else { fatalError("this C library has no \(name); glibc 2.36 has") }
        return unsafeBitCast(address, to: type)
    }
}

extension SandboxError {
    /// The error for the system call on `what` that just failed.
    static func lastFailure(_ what: String) -> SandboxError {
        .system(what: what, reason: String(cString: strerror(errno)))
    }
}
