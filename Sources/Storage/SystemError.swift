import Glibc

/// The system's own text for an error number, such as "Permission denied".
public func systemReason(_ number: Int32 = errno) -> String {
    String(cString: strerror(number))
}

extension StorageError {
    /// The error for the system call on `path` that just failed.
    static func lastFailure(_ path: String) -> StorageError {
        errno == ENOSPC || errno == EDQUOT ? .diskFull(path: path) : .file(path: path, reason: systemReason())
    }
}
