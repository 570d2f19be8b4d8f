import Glibc

/// Copies the file of a ``Database`` while another process, or this one, goes on using it.
public enum DatabaseBackup {
    /// Writes what is committed at one moment into a file of mode 0600, which appears whole or not at all. Blocks.
    ///
    /// - Parameters:
    ///   - source: the database; neither changed nor brought up to date.
    ///   - path: the copy.
    ///   - replacing: whether a file that is there goes.
    /// - Throws: a ``StorageError``: no such database, a file in the way, no room.
    public static func write(of source: String, to path: String, replacing: Bool) throws {
        guard access(source, F_OK) == 0 else { throw StorageError.lastFailure(source) }
        if !replacing, access(path, F_OK) == 0 {
            errno = EEXIST
            throw StorageError.lastFailure(path)
        }
        let temporary = "\(path).\(getpid()).tmp"
        unlink(temporary)
        // SQLite fills an empty file; made here, so that nobody else may ever read it.
        try AtomicFile.createIfAbsent(temporary, mode: 0o600)
        do {
            let connection = try Connection(path: source, readOnly: true)
            try connection.execute("VACUUM INTO ?", .text(temporary))
            let file = open(temporary, O_RDONLY | O_CLOEXEC)
            defer { if file >= 0 { close(file) } }
            guard file >= 0, fsync(file) == 0 else { throw StorageError.lastFailure(temporary) }
            // Linked, a copy that somebody else made meanwhile stays.
            guard replacing ? rename(temporary, path) == 0 : link(temporary, path) == 0 else {
                throw StorageError.lastFailure(path)
            }
            unlink(temporary)
            try AtomicFile.syncFolder(of: path)
        } catch {
            unlink(temporary)
            throw error
        }
    }
}
