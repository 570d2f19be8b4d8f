import Glibc
import MeshIdentity

/// Asks for a passphrase on the terminal, without showing it.
enum PassphrasePrompt {
    /// Longest passphrase, in bytes; a line of a terminal holds no more.
    private static let maximumSize = 4_095

    /// What Ctrl-C types where it is no signal.
    private static let interruption: UInt8 = 3

    /// Whether there is a person to ask.
    static var isPossible: Bool { Console.isInteractive }

    /// The line that is typed, less its end. Blocks.
    static func ask() throws(IdentityError) -> SecretBytes {
        var before = termios()
        guard tcgetattr(STDIN_FILENO, &before) == 0 else { throw .passphrase("there is no terminal to ask for it") }
        var silent = before
        // Without signals too: a prompt that is killed would leave a terminal that shows nothing.
        silent.c_lflag &= ~tcflag_t(ECHO | ISIG)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
            Console.complain("")
        }
        Console.prompt("Passphrase of this peer's identity: ")
        var size = 0
        var isInterrupted = false
        // Straight into locked memory: a buffer of the standard library would keep a copy.
        let line = SecretBytes(count: maximumSize + 1) { buffer in
            while size < buffer.count {
                let count = read(STDIN_FILENO, buffer.baseAddress! + size, 1)
                if count < 0, errno == EINTR { continue }
                guard count == 1, buffer[size] != UInt8(ascii: "\n") else { return }
                isInterrupted = buffer[size] == interruption
                if isInterrupted { return }
                size += 1
            }
        }
        guard !isInterrupted else { throw .passphrase("interrupted") }
        guard size <= maximumSize else { throw .passphrase("longer than \(maximumSize) bytes") }
        return SecretBytes(count: size) { output in
            line.withUnsafeBytes { output.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(size))) }
        }
    }
}
