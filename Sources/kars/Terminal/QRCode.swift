import CommandTree
import FoundationEssentials
import Glibc
import MeshNode
import Sandboxes

/// A text as a QR code for a terminal, drawn by the program qrencode.
enum QRCode {
    private static let program = "qrencode"

    /// Whether there is a terminal to draw on and a program to draw.
    ///
    /// - Throws: what is missing, and how to get it; call it before anything is made that can be shown only once.
    static func requirePossible(_ environment: [String: String]) throws {
        guard isatty(STDOUT_FILENO) == 1 else {
            throw UsageError.refused("--qr draws on a terminal, and standard output is none")
        }
        _ = try path(environment)
    }

    /// Draws a text. The text reaches the program over a pipe, never on its command line.
    static func draw(_ text: String, _ environment: [String: String]) throws {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw failure(String(cString: strerror(errno))) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let started = Result {
            try Spawn.start(
                [try path(environment), "-t", "ANSIUTF8", "-l", "L", "-m", "2", "-o", "-"],
                environment: ["PATH": environment["PATH"] ?? ""],
                descriptors: [ends[0], STDOUT_FILENO, STDERR_FILENO], newSession: false)
        }
        close(ends[0])
        let bytes = Array(text.utf8)
        // Shorter than a pipe holds.
        _ = write(ends[1], bytes, bytes.count)
        close(ends[1])
        var status: Int32 = 0
        let pid = try started.get()
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else { throw failure("it ended with \(status >> 8)") }
    }

    private static func path(_ environment: [String: String]) throws -> String {
        for folder in (environment["PATH"] ?? "").split(separator: ":") {
            let path = "\(folder)/\(program)"
            if access(path, X_OK) == 0 { return path }
        }
        throw OperationFailure(
            .failed, "\(program) is not installed, and draws the QR code", hint: "install it: apt install qrencode")
    }

    private static func failure(_ reason: String) -> OperationFailure {
        OperationFailure(.failed, "no QR code can be drawn: \(reason)")
    }
}
