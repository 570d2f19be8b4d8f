import Glibc

/// An exclusive lock on a file, held until the value goes away; the kernel frees it with the process.
public final class FileLock: Sendable {
    private let descriptor: Int32

    /// Takes the lock without waiting.
    ///
    /// - Throws: ``StorageError/locked(path:)`` when another process has it.
    public init(path: String) throws(StorageError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .lastFailure(path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let error: StorageError = errno == EWOULDBLOCK ? .locked(path: path) : .lastFailure(path)
            close(descriptor)
            throw error
        }
    }

    deinit {
        // Said aloud: a process forked a moment ago may still hold the descriptor until it runs its program.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
