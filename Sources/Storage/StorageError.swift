/// Why durable state could not be read or written.
public enum StorageError: Error, Sendable, CustomStringConvertible {
    /// The database file could not be opened.
    case open(path: String, message: String)
    /// SQLite refused a statement. Bound values are never part of it: a log must not show what a row held.
    case sqlite(code: Int32, message: String, sql: String)
    /// The file system has no room left.
    case diskFull(path: String)
    /// The integrity check at the start found damage.
    case corrupt(path: String, message: String)
    /// The file was written by a newer version of kars.
    case tooNew(path: String, version: Int)
    /// A system call on a file failed; `reason` is the system's own text.
    case file(path: String, reason: String)
    /// The file is larger than its reader allows.
    case tooLarge(path: String, limit: Int)
    /// Another process holds the lock.
    case locked(path: String)
    /// The database was closed.
    case closed

    public var description: String {
        switch self {
        case .open(let path, let message): "cannot open the database \(path): \(message)"
        case .sqlite(let code, let message, let sql): "database error \(code): \(message) in: \(sql)"
        case .diskFull(let path): "no space left on the disk that holds \(path)"
        case .corrupt(let path, let message): "the database \(path) is damaged: \(message)"
        case .tooNew(let path, let version):
            "\(path) has schema version \(version), written by a newer kars; upgrade this one"
        case .file(let path, let reason): "\(path): \(reason)"
        case .tooLarge(let path, let limit): "\(path) is larger than \(limit) bytes"
        case .locked(let path): "\(path) is in use by another process"
        case .closed: "the database is closed"
        }
    }
}
