import Glibc
import MeshIdentity

/// Asks for something secret on the terminal, without showing it.
enum SecretPrompt {
    /// Longest line of a terminal, in bytes.
    static let maximumSize = 4_095

    /// What Ctrl-C types where it is no signal.
    private static let interruption: UInt8 = 3

    /// Why nothing was typed.
    enum Failure: Error, CustomStringConvertible {
        case noTerminal, interrupted, tooLong

        var description: String {
            switch self {
            case .noTerminal: "there is no terminal to ask for it"
            case .interrupted: "interrupted"
            case .tooLong: "longer than \(SecretPrompt.maximumSize) bytes"
            }
        }
    }

    /// Whether there is a person to ask.
    static var isPossible: Bool { Console.isInteractive }

    /// What is typed, which may be nothing; ends the command when the person gives up.
    static func optional(_ question: String) throws -> SecretBytes? {
        do {
            let typed = try ask(question + ": ")
            return typed.count == 0 ? nil : typed
        } catch Failure.interrupted {
            throw Question.givenUp()
        }
    }

    /// What is typed; asks again while it is nothing.
    static func required(_ question: String) throws -> SecretBytes {
        while true {
            if let typed = try optional(question) { return typed }
            Console.complain("It cannot be empty; Ctrl-C gives up.")
        }
    }

    /// The line that is typed, less its end. Blocks.
    static func ask(_ question: String) throws(Failure) -> SecretBytes {
        var before = termios()
        guard tcgetattr(STDIN_FILENO, &before) == 0 else { throw .noTerminal }
        var silent = before
        // Without signals too: a prompt that is killed would leave a terminal that shows nothing.
        // Ctrl-C ends the line instead, and is seen below.
        silent.c_lflag &= ~tcflag_t(ECHO | ISIG)
        withUnsafeMutableBytes(of: &silent.c_cc) { $0[Int(VEOL)] = interruption }
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
            Console.complain("")
        }
        Console.prompt(question)
        var size = 0
        var isInterrupted = false
        // Straight into locked memory: a buffer of the standard library would keep a copy.
        let line = SecretBytes(count: maximumSize + 1) { buffer in
            while size < buffer.count {
                let count = read(STDIN_FILENO, buffer.baseAddress! + size, 1)
                if count < 0, errno == EINTR { continue }
                guard count == 1, buffer[size] != UInt8(ascii: "\n") else {
                    // The end of the terminal is no answer.
                    if count != 1, size == 0 { isInterrupted = true }
                    return
                }
                isInterrupted = buffer[size] == interruption
                if isInterrupted { return }
                size += 1
            }
        }
        guard !isInterrupted else { throw .interrupted }
        guard size <= maximumSize else { throw .tooLong }
        return SecretBytes(count: size) { output in
            line.withUnsafeBytes { output.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(size))) }
        }
    }
}
