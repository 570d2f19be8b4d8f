import Dispatch
import FoundationEssentials
import Glibc
import MeshNode
import Sandboxes

/// A shell in a sandbox of this machine, on a terminal of its own.
///
/// The sandbox never gets this terminal: a program that controls a terminal can type into it, and what was typed would
/// be read by the operator's own shell afterwards. It gets one made for it, and bytes are carried between the two.
struct TerminalShell {
    /// The agent, and where its sandbox takes commands.
    let agent: String
    let socket: String

    /// Bash where the sandbox has it.
    static let command = [
        "/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec /bin/sh -i",
    ]
    /// The same without a terminal.
    static let plainCommand = ["/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec /bin/sh"]

    /// What the shell is told of this side's variables.
    static func variables(_ environment: [String: String], isTerminal: Bool) -> [String: String] {
        var variables = isTerminal ? ["TERM": environment["TERM"] ?? "xterm"] : [:]
        for name in ["COLORTERM", "NO_COLOR"] { variables[name] = environment[name] }
        return variables
    }

    /// Longest the rest of the output is waited for once the shell ended.
    private static let drainMilliseconds: Int32 = 200

    /// Runs until the shell ends.
    ///
    /// - Returns: its exit status.
    func run(environment: [String: String]) async throws -> Int32 {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "kars.shell").async {
                continuation.resume(with: Result { try self.runBlocking(environment) })
            }
        }
    }

    private func runBlocking(_ environment: [String: String]) throws -> Int32 {
        let terminal: (master: Int32, other: Int32)
        do { terminal = try Terminal.make() } catch {
            throw OperationFailure(.failed, "no terminal can be made: \(error)")
        }
        defer { close(terminal.master) }
        let shell: SandboxCommand
        do {
            defer { close(terminal.other) }
            shell = try SandboxCommand(
                at: socket, command: Self.command, environment: Self.variables(environment, isTerminal: true),
                files: [terminal.other, terminal.other, terminal.other], hasTerminal: true)
        }
        defer { close(shell.connection) }
        let window = DispatchSource.makeSignalSource(signal: SIGWINCH, queue: .global())
        window.setEventHandler { Self.copySize(to: terminal.master) }
        window.resume()
        defer { window.cancel() }
        Self.copySize(to: terminal.master)
        let raw = try RawTerminal()
        defer { raw.restore() }
        Self.carry(terminal.master, until: shell.connection)
        guard let status = try shell.wait() else {
            throw OperationFailure(.failed, "the sandbox of \(agent) ended, and the shell with it")
        }
        return status
    }

    /// Carries bytes both ways until the shell ends.
    private static func carry(_ master: Int32, until connection: Int32) {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var places = [
            pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
            pollfd(fd: master, events: Int16(POLLIN), revents: 0),
            pollfd(fd: connection, events: Int16(POLLIN), revents: 0),
        ]
        var patience: Int32 = -1
        while true {
            let ready = poll(&places, nfds_t(places.count), patience)
            if ready < 0, errno == EINTR { continue }
            // After the end only what is left of the output.
            guard ready > 0 else { return }
            if places[1].revents != 0 {
                let count = read(master, &chunk, chunk.count)
                // EIO: nobody has the other side open any more.
                guard count > 0, write(chunk[..<count], to: STDOUT_FILENO) else {
                    if patience >= 0 { return }
                    places[1].fd = -1
                    continue
                }
            }
            if places[0].revents != 0 {
                let count = read(STDIN_FILENO, &chunk, chunk.count)
                if count <= 0 || !write(chunk[..<count], to: master) { places[0].fd = -1 }
            }
            if places[2].revents != 0 {
                (places[0].fd, places[2].fd) = (-1, -1)
                patience = drainMilliseconds
            }
            if places[1].fd < 0, patience >= 0 { return }
        }
    }

    private static func write(_ bytes: ArraySlice<UInt8>, to file: Int32) -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    private static func copySize(to master: Int32) {
        var size = winsize()
        guard ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0 else { return }
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    }
}
