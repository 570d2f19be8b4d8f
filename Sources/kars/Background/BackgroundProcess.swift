import Glibc
import MeshNode
import Sandboxes
import Storage

/// Starts a service that goes on after this command: own session, no terminal, its log in a file.
enum BackgroundProcess {
    /// A log that is larger when its service starts makes room; the one before is kept.
    private static let maximumLogBytes = 10 << 20
    /// How long a service may take until it listens.
    private static let patience = Duration.seconds(20)
    private static let lineStart = "listening "

    /// - Parameter arguments: the service's command line, without the program.
    /// - Returns: the process, and the address it listens at.
    /// - Throws: with the end of its log when it ended before.
    static func start(
        _ role: String, _ arguments: [String], environment: [String: String], log: String
    ) throws -> ServiceRecord {
        rotate(log)
        let logFile = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard logFile >= 0 else { throw failure("cannot write \(log)") }
        defer { close(logFile) }
        let logStart = lseek(logFile, 0, SEEK_END)
        let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(nothing) }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw failure("cannot make a pipe") }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let pid: pid_t
        do {
            defer { close(ends[1]) }
            pid = try Spawn.start(
                [try ownExecutable()] + arguments, environment: environment,
                descriptors: [nothing, ends[1], logFile])
        }
        guard let address = firstLine(ends[0]), let record = ServiceRecord(role: role, pid: pid, address: address) else {
            kill(pid, SIGKILL)
            var status: Int32 = 0
            waitpid(pid, &status, 0)
            throw StartFailure(role: role, log: log, reason: lastLine(log, from: logStart))
        }
        return record
    }

    /// A service that ended before it listened.
    struct StartFailure: Error, CustomStringConvertible {
        let role: String
        let log: String
        let reason: String?

        var description: String {
            "the \(role) did not start" + (reason.map { ": \($0)" } ?? "") + " (its log is \(log))"
        }

        /// Whether the address it was to listen at is taken.
        var isAddressTaken: Bool { reason?.lowercased().contains("address already in use") ?? false }
    }

    private static func rotate(_ log: String) {
        var status = stat()
        guard lstat(log, &status) == 0, status.st_size > maximumLogBytes else { return }
        rename(log, log + ".1")
    }

    /// The address of the line `listening <address>`; nil when the service ended or was silent for too long.
    private static func firstLine(_ pipe: Int32) -> String? {
        let deadline = ContinuousClock.now + patience
        var line: [UInt8] = []
        while ContinuousClock.now < deadline {
            var entry = pollfd(fd: pipe, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 100) > 0 else { continue }
            var byte: UInt8 = 0
            let count = read(pipe, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { return nil }
            if byte == UInt8(ascii: "\n") {
                let text = String(decoding: line, as: UTF8.self)
                return text.hasPrefix(lineStart) ? String(text.dropFirst(lineStart.count)) : nil
            }
            line.append(byte)
        }
        return nil
    }

    /// The last line that a service wrote in this start.
    private static func lastLine(_ log: String, from start: off_t) -> String? {
        guard let bytes = (try? AtomicFile.read(log, limit: 2 * maximumLogBytes)) ?? nil else { return nil }
        let lines = bytes.dropFirst(Int(start)).split(separator: UInt8(ascii: "\n"))
        return lines.last.map { String(decoding: $0.prefix(500), as: UTF8.self) }
    }

    private static func failure(_ what: String) -> OperationFailure {
        OperationFailure(.failed, "\(what): \(String(cString: strerror(errno)))")
    }
}
