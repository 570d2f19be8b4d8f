import Glibc
import Synchronization

/// This side's ends of the streams of a program that is run beside an agent: a terminal, or three pipes.
///
/// Reads and writes block, so each belongs on a queue of its own; ``endSoon()`` and ``end()`` wake them.
public final class ProgramFiles: Sendable {
    /// How long the rest of the output is waited for once the program ended, in milliseconds.
    private static let drainMilliseconds: Int32 = 200
    private static let chunkBytes = 32 << 10

    /// What the program sees as 0, 1 and 2; closed by ``closeProgramSide()``.
    public let programSide: [Int32]
    /// Where its output and, unless it has a terminal, its errors are read.
    public let outputs: [Int32]
    public let hasTerminal: Bool
    private let input: Mutex<Int32>
    private let isSideOpen = Mutex(true)
    /// Readable once nobody shall wait any more.
    private let wake: (read: Int32, write: Int32)
    private let isEnded = Mutex(false)

    /// - Parameter terminal: columns and rows; nil for pipes.
    public init(terminal: (columns: UInt16, rows: UInt16)?) throws(SandboxError) {
        wake = try LinuxCalls.makePipe()
        do throws(SandboxError) {
            if let terminal {
                let pair = try Terminal.make()
                hasTerminal = true
                outputs = [pair.master]
                input = Mutex(pair.master)
                programSide = [pair.other, pair.other, pair.other]
                resize(columns: terminal.columns, rows: terminal.rows)
            } else {
                let (first, second) = (try LinuxCalls.makePipe(), try LinuxCalls.makePipe())
                let third = try LinuxCalls.makePipe()
                hasTerminal = false
                outputs = [second.read, third.read]
                input = Mutex(first.write)
                programSide = [first.read, second.write, third.write]
            }
        } catch {
            close(wake.read)
            close(wake.write)
            throw error
        }
        _ = input.withLock { fcntl($0, F_SETFL, fcntl($0, F_GETFL) | O_NONBLOCK) }
    }

    deinit {
        closeProgramSide()
        closeInput()
        for file in outputs { close(file) }
        close(wake.read)
        close(wake.write)
    }

    /// The program has its own copies.
    public func closeProgramSide() {
        guard isSideOpen.withLock({ isOpen in defer { isOpen = false }; return isOpen }) else { return }
        for file in Set(programSide) { close(file) }
    }

    /// The program reads an end of its input; of a terminal the end is a character, which its user types.
    public func closeInput() {
        guard !hasTerminal else { return }
        input.withLock { file in
            if file >= 0 { close(file) }
            file = -1
        }
    }

    public func resize(columns: UInt16, rows: UInt16) {
        guard hasTerminal else { return }
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = input.withLock { ioctl($0, UInt(TIOCSWINSZ), &size) }
    }

    /// Lets reads go on while there is something, and end after a moment.
    public func endSoon() { _ = Glibc.write(wake.write, "!", 1) }

    /// Ends reads and writes where they are.
    public func end() {
        isEnded.withLock { $0 = true }
        endSoon()
    }

    /// Blocks until one of ``outputs`` has something; nil at its end.
    public func read(_ file: Int32) -> [UInt8]? {
        var patience: Int32 = -1
        while true {
            var places = [
                pollfd(fd: file, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0),
            ]
            if patience >= 0 { places.removeLast() }
            let ready = poll(&places, nfds_t(places.count), patience)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0, !isEnded.withLock({ $0 }) else { return nil }
            guard places[0].revents != 0 else {
                patience = Self.drainMilliseconds
                continue
            }
            var count = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: Self.chunkBytes) { buffer, filled in
                count = Glibc.read(file, buffer.baseAddress, buffer.count)
                filled = max(0, count)
            }
            if count < 0, errno == EINTR || errno == EAGAIN { continue }
            // EIO of a terminal: nobody has the other side open any more.
            return count > 0 ? bytes : nil
        }
    }

    /// Blocks until the program's input took everything; false when it takes no more.
    public func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let file = input.withLock { $0 }
            guard file >= 0, !isEnded.withLock({ $0 }) else { return false }
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
                continue
            }
            guard errno == EAGAIN || errno == EINTR else { return false }
            var places = [
                pollfd(fd: file, events: Int16(POLLOUT), revents: 0), pollfd(fd: wake.read, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&places, 2, -1) > 0 || errno == EINTR else { return false }
            // The program ended: what is left is for nobody.
            if places[1].revents != 0 { return false }
        }
        return true
    }
}
