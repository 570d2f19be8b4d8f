import Glibc
import Storage

/// Reading and making of files that hold a key or a passphrase.
enum KeyFile {
    static let maximumPassphraseSize = 4096

    /// Reads a file into locked memory; nil when it is absent.
    ///
    /// - Parameter isPrivate: refuse a symbolic link, another's file, and one that others may read.
    static func read(_ path: String, limit: Int, isPrivate: Bool) throws(IdentityError) -> SecretBytes? {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC | (isPrivate ? O_NOFOLLOW : 0))
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure(path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .file(path: path, reason: "not a regular file")
        }
        if isPrivate {
            guard status.st_mode & 0o077 == 0 else { throw .exposed(path: path, mode: status.st_mode) }
            guard status.st_uid == geteuid() || status.st_uid == 0 else {
                throw .file(path: path, reason: "belongs to another user")
            }
        }
        guard status.st_size <= limit else { throw .file(path: path, reason: "larger than \(limit) bytes") }
        return try SecretBytes(count: Int(status.st_size)) { (buffer) throws(IdentityError) in
            var filled = 0
            while filled < buffer.count {
                let count = Glibc.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { throw .file(path: path, reason: "changed while it was read") }
                filled += count
            }
        }
    }

    /// Makes a file with its whole content, or leaves the one that is there.
    ///
    /// The content appears at once (a link to a finished temporary file), so that of two processes that start
    /// together one wins and the other reads a whole file.
    ///
    /// - Returns: whether this call made it.
    static func create(_ path: String, content: UnsafeRawBufferPointer) throws(IdentityError) -> Bool {
        let temporary = "\(path).\(getpid()).\(Hex.encode(RandomBytes.make(4))).tmp"
        let descriptor = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        defer { unlink(temporary) }
        var written = 0
        while written < content.count {
            let count = Glibc.write(descriptor, content.baseAddress! + written, content.count - written)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let error = failure(path)
                close(descriptor)
                throw error
            }
            written += count
        }
        guard fsync(descriptor) == 0 else {
            let error = failure(path)
            close(descriptor)
            throw error
        }
        close(descriptor)
        guard link(temporary, path) == 0 else {
            if errno == EEXIST { return false }
            throw failure(path)
        }
        do {
            try AtomicFile.syncFolder(of: path)
        } catch {
            throw .file(path: path, reason: error.description)
        }
        return true
    }

    /// Overwrites and removes a file; absent is fine. On disks that never write in place the old blocks may
    /// survive: that is why what they hold is sealed.
    static func erase(_ path: String) throws(IdentityError) {
        let descriptor = Glibc.open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw failure(path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(path) }
        let noise = RandomBytes.make(Int(min(status.st_size, 1 << 20)))
        var written = 0
        while written < noise.count {
            let count = noise.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failure(path) }
            written += count
        }
        guard fsync(descriptor) == 0, unlink(path) == 0 else { throw failure(path) }
        do {
            try AtomicFile.syncFolder(of: path)
        } catch {
            throw .file(path: path, reason: error.description)
        }
    }

    private static func failure(_ path: String) -> IdentityError {
        .file(path: path, reason: String(cString: strerror(errno)))
    }
}
