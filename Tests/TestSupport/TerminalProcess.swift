import Foundation
import Synchronization

/// A real process whose standard streams are a terminal, so that it asks its questions. It is killed when the
/// value goes away.
public final class TerminalProcess: Sendable {
    private let process = Process()
    private let terminal: Int32
    private let shown = Mutex(Data())
    private let reader = DispatchGroup()

    /// Starts an executable by path on a terminal of its own.
    ///
    public init(
        _ executable: String, _ arguments: [String], environment: [String: String] = [:],
        columns: UInt16 = 80, rows: UInt16 = 24
    ) throws {
        terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // unlockpt(3) and ptsname(3), which the Glibc module does not show.
        var isLocked: Int32 = 0
        var number: UInt32 = 0
        guard terminal >= 0, ioctl(terminal, 0x4004_5431, &isLocked) == 0, ioctl(terminal, 0x8004_5430, &number) == 0
        else { throw DeadlineExceeded(description: "no terminal: \(errno)") }
        let name = "/dev/pts/\(number)"
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        let side = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard side >= 0, ioctl(side, UInt(TIOCSWINSZ), &size) == 0 else {
            throw DeadlineExceeded(description: "no terminal: \(errno)")
        }
        let handle = FileHandle(fileDescriptor: side, closeOnDealloc: true)
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm"]) { $1 }
            .merging(environment) { $1 }
        process.standardInput = handle
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        try handle.close()
        collect()
    }

    deinit {
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
        close(terminal)
    }

    private func collect() {
        reader.enter()
        let (descriptor, group) = (terminal, reader)
        Thread.detachNewThread { [weak self] in
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(descriptor, &chunk, chunk.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { break }  // EIO once nobody has the other side open
                self?.shown.withLock { $0.append(contentsOf: chunk[..<count]) }
            }
            group.leave()
        }
    }

    public var pid: Int32 { process.processIdentifier }

    /// All that the terminal showed so far, what was echoed included.
    public var screen: String { shown.withLock { String(decoding: $0, as: UTF8.self) } }

    /// Types text as it is; a line ends with `\n`.
    public func type(_ text: String) {
        _ = Array(text.utf8).withUnsafeBytes { write(terminal, $0.baseAddress, $0.count) }
    }

    /// Waits for a question, and answers it with a line.
    public func answer(_ question: String, _ line: String) async throws {
        try await expect(question)
        type(line + "\n")
    }

    /// Waits until the terminal shows a text that no earlier call waited for.
    public func expect(_ text: String) async throws {
        try await waitUntil("\(text) on the terminal") {
            let screen = screen
            let start = screen.index(screen.startIndex, offsetBy: min(seen.withLock { $0 }, screen.count))
            guard let found = screen[start...].range(of: text) else {
                if !process.isRunning {
                    throw DeadlineExceeded(description: "the process ended without showing '\(text)': \(screen)")
                }
                return false
            }
            let count = screen.distance(from: screen.startIndex, to: found.upperBound)
            seen.withLock { $0 = count }
            return true
        }
    }

    /// Characters of the screen that were waited for.
    private let seen = Mutex(0)

    /// Whether the terminal shows what is typed.
    public var echoes: Bool {
        var settings = termios()
        return tcgetattr(terminal, &settings) == 0 && settings.c_lflag & tcflag_t(ECHO) != 0
    }

    /// Changes the size of the window and tells the process.
    public func resize(columns: UInt16, rows: UInt16) {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
        kill(process.processIdentifier, SIGWINCH)
    }

    public func signal(_ number: Int32) { Glibc.kill(process.processIdentifier, number) }

    /// Waits for the end of the process and returns its status.
    public func wait() async -> Int32 {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                self.process.waitUntilExit()
                self.reader.wait()
                continuation.resume(returning: self.process.terminationStatus)
            }
        }
    }
}
