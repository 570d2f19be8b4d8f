import Glibc
import MeshNode

/// The terminal of this command while it hands on each key as it is.
struct RawTerminal: Sendable {
    private let before: termios

    /// - Throws: without a terminal.
    init() throws {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else {
            throw OperationFailure(.invalid, "--shell needs a terminal")
        }
        before = settings
        cfmakeraw(&settings)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    }

    /// Makes it what it was.
    func restore() {
        var settings = before
        tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    }
}
