import Glibc

/// Reads files and names their chunks. One per thread: it owns a buffer and a place in the tree.
struct FileHasher {
    private var cursor: TreeCursor
    private let mode: WorkspaceScanner.Mode
    private let limits: WorkspaceLimits
    private var buffer = [UInt8](repeating: 0, count: 1 << 20)

    init(root: Descriptor, mode: WorkspaceScanner.Mode, limits: WorkspaceLimits) {
        cursor = TreeCursor(root: root)
        self.mode = mode
        self.limits = limits
    }

    /// Names the chunks of one file.
    ///
    /// - Returns: nil when the file is gone, which only a live scan tolerates.
    mutating func hash(_ path: PathBytes, _ key: FileKey) throws(WorkspaceError) -> ScannedFile? {
        do {
            return try Errno.narrowed(at: path.escaped) { try hashOpened(path, key) }
        } catch .file(_, let code) where Errno(code).isVanished {
            guard mode == .live else { throw .changedDuringRead(path) }
            return nil
        }
    }

    private mutating func hashOpened(_ path: PathBytes, _ key: FileKey) throws -> ScannedFile? {
        let parent = try cursor.parent(of: path)
        let began = Self.now()
        // Non-blocking: a pipe put here since the walk must not hold the scan up.
        let file = try parent.open(path.name, O_RDONLY | O_NONBLOCK)
        // A page of a shared mapping that is already dirty can be written again without a new time stamp. Once
        // written out, the next write to it faults and stamps. A frozen tree has no writers.
        if mode == .live { file.startWritingOut() }
        let before = try file.status()
        guard before.st_mode & S_IFMT == S_IFREG, FileKey(before) == key else {
            if mode == .live { return nil }
            throw WorkspaceError.changedDuringRead(path)
        }
        let (chunks, lengths) = try readChunks(of: file)
        let attributes = try file.attributes()
        let fingerprint = FileFingerprint(before)
        let isUnchanged = fingerprint == FileFingerprint(try file.status())
        if mode == .frozen && !isUnchanged { throw WorkspaceError.changedDuringRead(path) }
        return ScannedFile(
            path: path, fingerprint: fingerprint, chunks: chunks, lengths: lengths, attributes: attributes,
            isSettled: mode == .live && isUnchanged && fingerprint.changed.isSurelyBefore(began))
    }

    private mutating func readChunks(of file: Descriptor) throws -> ([ChunkID], [UInt32]) {
        let limits = limits
        return try buffer.withUnsafeMutableBytes { buffer in
            var chunks: [ChunkID] = []
            var lengths: [UInt32] = []
            var offset: Int64 = 0  // of the next byte to read
            var filled = 0
            var atEnd = false
            while true {
                if !atEnd {
                    let free = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
                    let count = try file.read(into: free, at: offset)
                    atEnd = count < free.count
                    offset += Int64(count)
                    filled += count
                    // A file that grows while it is read must not run away with the scan.
                    guard UInt64(offset) <= limits.maximumFileBytes else {
                        throw WorkspaceError.tooLarge(what: "bytes in one file", limit: limits.maximumFileBytes)
                    }
                }
                var start = 0
                while filled - start >= Chunker.maximumSize || (atEnd && start < filled) {
                    let rest = UnsafeRawBufferPointer(rebasing: buffer[start..<filled])
                    if rest.count >= Chunker.maximumSize,
                        Chunker.isZero(UnsafeRawBufferPointer(rebasing: rest[..<Chunker.maximumSize]))
                    {
                        // Of a sparse file nearly all is this.
                        chunks.append(Chunker.zeros)
                        lengths.append(UInt32(Chunker.maximumSize))
                        start += Chunker.maximumSize
                        continue
                    }
                    let length = Chunker.cut(rest)
                    chunks.append(ChunkID(hashing: UnsafeRawBufferPointer(rebasing: rest[..<length])))
                    lengths.append(UInt32(length))
                    start += length
                }
                if atEnd { return (chunks, lengths) }
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<filled]))
                filled -= start
            }
        }
    }

    private static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(time)
    }
}

extension Timestamp {
    /// Whether a change at or after `moment` is sure to carry a later stamp than this one.
    ///
    /// The kernel stamps with a clock that lags by up to one tick (10 ms at most); 20 ms cover it. A stamp without
    /// nanoseconds may come from a file system that keeps whole or even seconds: those wait for more than two.
    func isSurelyBefore(_ moment: Timestamp) -> Bool {
        let difference = moment.seconds.subtractingReportingOverflow(seconds)
        let scaled = difference.partialValue.multipliedReportingOverflow(by: 1_000_000_000)
        guard !difference.overflow, !scaled.overflow else { return false }
        let age = scaled.partialValue &+ Int64(moment.nanoseconds) &- Int64(nanoseconds)
        return age > (nanoseconds == 0 ? 2_100_000_000 : 20_000_000)
    }
}
