import Glibc

/// What a scan remembers so that the next one, and readers of chunks, need not start over. Kept in memory only.
public struct ScanState: Sendable {
    /// Files by device and inode: a hard link's content is read once.
    var files: [FileKey: ScannedFile] = [:]
    /// Content hashed by this scan, in bytes; the rest was known from the one before.
    public internal(set) var hashedBytes: UInt64 = 0
}

struct FileKey: Hashable, Sendable {
    var device: UInt64
    var inode: UInt64

    init(_ status: stat) {
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
    }
}

/// What changes, as far as the kernel tells, when a file's content, names or attributes change.
struct FileFingerprint: Equatable, Sendable {
    var size: Int64
    var modified: Timestamp
    /// Set by the kernel alone, so a tool that puts the modification time back is still noticed.
    var changed: Timestamp
    var mode: UInt32

    init(_ status: stat) {
        size = Int64(status.st_size)
        modified = Timestamp(status.st_mtim)
        changed = Timestamp(status.st_ctim)
        mode = UInt32(status.st_mode)
    }
}

struct ScannedFile: Sendable {
    var path: PathBytes
    var fingerprint: FileFingerprint
    var chunks: [ChunkID]
    /// Length of each chunk, which the manifest does not carry.
    var lengths: [UInt32]
    var attributes: [ExtendedAttribute]
    /// Whether any later change is bound to show in the fingerprint.
    ///
    /// False when the file was changed so shortly before it was read that a change after it may carry the same time
    /// ("racily clean", as git calls it), or when its pages were not written out first (see ``FileHasher``).
    var isSettled: Bool

    var size: UInt64 { lengths.reduce(0) { $0 + UInt64($1) } }
}
