import CommandTree
import Glibc

/// Standard output for what was asked, standard error for everything else.
enum Console {
    static var isInteractive: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 }

    static var showsProgress: Bool { isatty(STDERR_FILENO) == 1 }

    /// Columns of the terminal that standard error is; 80 where it is none.
    static var width: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    /// Writes all of a text to standard output, unbuffered.
    ///
    /// - Throws: when it could not be written; silently when the reader went away.
    static func write(_ text: String) throws {
        guard let number = writeAll(text, to: STDOUT_FILENO) else { return }
        if number == EPIPE { throw CommandEnd(status: CommandRunner.failed) }
        throw OutputError(reason: String(cString: strerror(number)))
    }

    static func line(_ text: String) throws { try write(text + "\n") }

    /// Writes a line to standard error. There is nowhere left to say that this failed.
    static func complain(_ line: String) {
        _ = writeAll(line + "\n", to: STDERR_FILENO)
    }

    /// Writes text to standard error without a newline, for questions and progress.
    static func prompt(_ text: String) {
        _ = writeAll(text, to: STDERR_FILENO)
    }

    /// How text may look on standard output.
    static func style(_ environment: [String: String]) -> TerminalStyle {
        .detected(fileDescriptor: STDOUT_FILENO, environment: environment)
    }

    /// - Returns: the error number, or nil when all was written.
    private static func writeAll(_ text: String, to descriptor: Int32) -> Int32? {
        var text = text
        return text.withUTF8 { bytes -> Int32? in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    return errno
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
            return nil
        }
    }
}

/// Standard output is not what it was: full disk, closed descriptor.
struct OutputError: Error, CustomStringConvertible {
    let reason: String
    var description: String { "cannot write to standard output: \(reason)" }
}
