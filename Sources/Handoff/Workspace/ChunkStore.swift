import Glibc
import Synchronization

/// Chunks on disk, what has arrived of a workspace before it is restored.
///
/// One file, to which each chunk is appended behind its length and name: making a file for each costs many times as
/// much. The folder belongs to the store alone, and to one store at a time. A crash may leave the end cut short and
/// pages missing, so chunks found when the store opens are hashed before they are first counted on, and what cannot be
/// read is simply missing again. Blocks on the disk; safe to share between threads.
public final class ChunkStore: Sendable {
    private struct Place {
        var offset: Int64
        var length: UInt32
        /// Whether the bytes were hashed since the store was opened.
        var isVerified: Bool
    }

    private struct Content {
        var places: [ChunkID: Place] = [:]
        /// Where the next record begins.
        var end: Int64 = 0
        /// Bytes of chunks in the file, damaged ones included.
        var bytes: UInt64 = 0
        /// An older tree that lends the chunks it still has, and those it turned out not to have.
        var lender: ChunkReader?
        var gone: Set<ChunkID> = []

        func lends(_ id: ChunkID) -> Bool { !gone.contains(id) && lender?.has(id) == true }
    }

    private let path: String
    private let folder: Descriptor
    private let file: Descriptor
    private let maximumBytes: UInt64
    /// Guards the index and the end of the file. Held while a chunk is appended, so that records neither overlap nor
    /// leave gaps; callers expect to wait for the disk.
    private let content: Mutex<Content>

    /// Opens the store in a folder, which is made if need be.
    ///
    /// - Parameters:
    ///   - folder: path of the folder; its parent must exist.
    ///   - maximumBytes: most bytes of chunks the store takes, so that a peer cannot fill the disk.
    public init(
        folder: String, maximumBytes: UInt64 = WorkspaceLimits().maximumTotalBytes
    ) throws(WorkspaceError) {
        path = folder
        self.maximumBytes = maximumBytes
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw .file(path: folder, errno: errno) }
        let opened = try Descriptor.folder(folder)
        self.folder = opened
        let file = try Errno.narrowed(at: folder) {
            try opened.open(Array("chunks".utf8)[...], O_RDWR | O_CREAT, mode: 0o600)
        }
        self.file = file
        content = Mutex(try Errno.narrowed(at: folder) { try Self.index(file) })
    }

    /// Whether the store holds a chunk, whole.
    public func has(_ id: ChunkID) -> Bool {
        let (place, isLent) = content.withLock { ($0.places[id], $0.lends(id)) }
        guard let place else { return isLent }
        return place.isVerified || (try? read(id)) != nil
    }

    /// Bytes of a chunk the store holds for certain.
    func length(of id: ChunkID) -> Int? {
        content.withLock { content in
            guard let place = content.places[id] else {
                return content.lends(id) ? content.lender?.length(of: id) : nil
            }
            return place.isVerified ? Int(place.length) : nil
        }
    }

    /// Keeps a chunk. Durable only after ``syncAll()``.
    ///
    /// - Parameters:
    ///   - bytes: at most ``maximumChunkBytes``, at least one.
    ///   - expected: what the sender calls it; other bytes are refused.
    /// - Throws: ``WorkspaceError/corrupt(_:)``, ``WorkspaceError/tooLarge(what:limit:)`` or
    ///   ``WorkspaceError/diskFull(path:needed:free:)``; the store is then as it was.
    @discardableResult
    public func put(_ bytes: [UInt8], expecting expected: ChunkID? = nil) throws(WorkspaceError) -> ChunkID {
        guard !bytes.isEmpty, bytes.count <= Self.maximumChunkBytes else {
            throw .corrupt("a chunk has \(bytes.count) bytes instead of 1 to \(Self.maximumChunkBytes)")
        }
        let id = ChunkID(of: bytes)
        guard expected == nil || expected == id else { throw .corrupt("a chunk has other bytes than its name says") }
        if has(id) { return id }
        try store(bytes, as: id)
        return id
    }

    /// Appends a chunk unless it is in the file.
    private func store(_ bytes: [UInt8], as id: ChunkID) throws(WorkspaceError) {
        var record = CanonicalWriter()
        record.write(Self.recordMark)
        record.write(UInt32(bytes.count))
        record.write(id)
        let header = record.bytes
        do {
            try Errno.narrowed(at: path) {
                try content.withLock { content in
                    guard content.places[id] == nil else { return }  // another thread was first
                    guard content.bytes + UInt64(bytes.count) <= maximumBytes else {
                        throw WorkspaceError.tooLarge(what: "bytes of chunks", limit: maximumBytes)
                    }
                    do {
                        try file.write(header + bytes, at: content.end)
                    } catch {
                        try? file.setSize(UInt64(content.end))  // give back what was written
                        throw error
                    }
                    let offset = content.end + Int64(Self.headerSize)
                    content.places[id] = Place(offset: offset, length: UInt32(bytes.count), isVerified: true)
                    content.end = offset + Int64(bytes.count)
                    content.bytes += UInt64(bytes.count)
                }
            }
        } catch .file(_, let code) where Errno(code).isDiskFull {
            throw .diskFull(path: path, needed: UInt64(bytes.count), free: (try? folder.freeBytes()) ?? 0)
        }
    }

    /// Reads a chunk and hashes it again.
    ///
    /// - Throws: ``WorkspaceError/missingChunk(_:)``, also for one that turns out to be left damaged by a crash, or
    ///   ``WorkspaceError/corrupt(_:)`` when the disk no longer holds what it held.
    public func read(_ id: ChunkID) throws(WorkspaceError) -> [UInt8] {
        let (known, lender) = content.withLock { ($0.places[id], $0.lends(id) ? $0.lender : nil) }
        guard let place = known else {
            guard let lender else { throw .missingChunk(id) }
            do { return try lender.readChunk(id) } catch {
                // What changed in the older tree after all is asked for again.
                content.withLock { _ = $0.gone.insert(id) }
                throw .missingChunk(id)
            }
        }
        let bytes = try Errno.narrowed(at: path) { try file.bytes(at: place.offset, count: Int(place.length)) }
        let isWhole = ChunkID(of: bytes) == id
        content.withLock { content in
            guard content.places[id]?.offset == place.offset else { return }
            // What is damaged is forgotten, so that it is asked for again.
            if isWhole { content.places[id]?.isVerified = true } else { content.places[id] = nil }
        }
        guard isWhole else {
            throw place.isVerified ? .corrupt("chunk \(id) is damaged on the disk") : .missingChunk(id)
        }
        return bytes
    }

    /// Reads a chunk for a tree that is read back and proven as a whole afterwards: what was hashed when it came is not
    /// hashed again.
    func readToProve(_ id: ChunkID) throws(WorkspaceError) -> [UInt8] {
        guard let place = content.withLock({ $0.places[id] }), place.isVerified else { return try read(id) }
        let bytes = try Errno.narrowed(at: path) { try file.bytes(at: place.offset, count: Int(place.length)) }
        guard bytes.count == Int(place.length) else { throw .corrupt("chunk \(id) is damaged on the disk") }
        return bytes
    }

    /// Takes over chunks that an older tree lends, before that tree changes.
    func keep(_ ids: some Sequence<ChunkID>) throws(WorkspaceError) {
        for id in ids where content.withLock({ $0.places[id] == nil && $0.lends(id) }) {
            // What is gone already is missing, as it would be later.
            guard let bytes = try? read(id) else { continue }
            try store(bytes, as: id)
        }
    }

    /// The chunks a manifest needs and the store does not hold, each once, in the order of the manifest.
    public func missing(from manifest: Manifest) -> [ChunkID] { missing(from: manifest.entries) }

    func missing(from entries: [WorkspaceEntry]) -> [ChunkID] {
        var asked: Set<ChunkID> = []
        var missing: [ChunkID] = []
        for entry in entries {
            for id in entry.chunks where asked.insert(id).inserted && !has(id) { missing.append(id) }
        }
        return missing
    }

    /// Takes chunks from an older tree, as they are needed, instead of holding them itself.
    func borrow(from lender: ChunkReader) {
        content.withLock {
            $0.lender = lender
            $0.gone = []
        }
    }

    /// Brings all chunks kept so far to the disk.
    public func syncAll() throws(WorkspaceError) {
        try Errno.narrowed(at: path) {
            try file.sync()
            try folder.sync()
        }
    }

    /// Forgets and removes all chunks; the store stays open and empty.
    public func removeAll() throws(WorkspaceError) {
        try Errno.narrowed(at: path) {
            try content.withLock { content in
                try file.setSize(0)
                content = Content()
            }
        }
    }

    /// Most bytes of one chunk.
    public static let maximumChunkBytes = Chunker.maximumSize

    private static let recordMark: UInt32 = 0x6b77_6331
    private static let headerSize = 4 + 4 + ChunkID.byteCount

    /// Walks from header to header, as far as they make sense; the next chunk overwrites the rest.
    private static func index(_ file: Descriptor) throws -> Content {
        let size = Int64(try file.status().st_size)
        var content = Content()
        while content.end + Int64(headerSize) < size {
            var header = CanonicalReader(try file.bytes(at: content.end, count: headerSize))
            guard try header.read(UInt32.self) == recordMark else { break }
            let length = try header.read(UInt32.self)
            let id = try header.readID()
            let offset = content.end + Int64(headerSize)
            guard length > 0, length <= maximumChunkBytes, offset + Int64(length) <= size else { break }
            content.places[id] = Place(offset: offset, length: length, isVerified: false)
            content.end = offset + Int64(length)
            content.bytes += UInt64(length)
        }
        return content
    }
}
