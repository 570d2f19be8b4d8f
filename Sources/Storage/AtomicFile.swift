import Glibc

/// Small files that are either whole or absent, whatever happens while they are written.
public enum AtomicFile {
    /// Replaces the file: temporary file beside it, fsync, rename, fsync of the folder.
    ///
    /// - Parameter mode: permission bits; never wider, whatever the umask is.
    public static func write(
        _ bytes: [UInt8], to path: String, mode: mode_t = 0o600
    ) throws(StorageError) {
        let temporary = "\(path).\(getpid()).\(UInt32.random(in: .min ... .max)).tmp"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard file >= 0 else { throw .lastFailure(temporary) }
        do throws(StorageError) {
            defer { close(file) }
            guard fchmod(file, mode) == 0 else { throw .lastFailure(temporary) }
            try writeAll(bytes, to: file, path: temporary)
            guard fsync(file) == 0 else { throw .lastFailure(temporary) }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let error = StorageError.lastFailure(path)
            unlink(temporary)
            throw error
        }
        try syncFolder(of: path)
    }

    /// Reads a whole file.
    ///
    /// - Returns: nil when there is no such file.
    /// - Throws: ``StorageError/tooLarge(path:limit:)`` above `limit` bytes.
    public static func read(_ path: String, limit: Int = 1 << 20) throws(StorageError) -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw .lastFailure(path)
        }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(file, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .lastFailure(path) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= limit else { throw .tooLarge(path: path, limit: limit) }
        }
    }

    /// Makes a folder and the ones above it; those it makes get `mode`, one that exists keeps its own.
    public static func makeFolder(_ path: String, mode: mode_t = 0o700) throws(StorageError) {
        guard !path.isEmpty, path != "/" else { return }
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
            throw .lastFailure(path)
        }
        try makeFolder(String(path[..<slash]), mode: mode)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .lastFailure(path) }
    }

    /// Makes an empty file with exactly `mode` unless one is there.
    public static func createIfAbsent(_ path: String, mode: mode_t) throws(StorageError) {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, mode)
        guard file >= 0 else { throw .lastFailure(path) }
        close(file)
    }

    /// Makes a rename or unlink in the folder of `path` survive a power cut.
    public static func syncFolder(of path: String) throws(StorageError) {
        let slash = path.lastIndex(of: "/")
        let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .lastFailure(folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .lastFailure(folder) }
    }

    private static func writeAll(
        _ bytes: [UInt8], to file: Int32, path: String
    ) throws(StorageError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file, $0.baseAddress! + written, $0.count - written)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw .lastFailure(path) }
            written += count
        }
    }
}
