import Glibc
import Synchronization

/// Chunks on disk, one file each, named by their hash: what has arrived of a workspace before it is restored.
///
/// The folder belongs to the store alone. A crash may leave files cut short, so those found when the store opens are
/// hashed before they are first counted on. Blocks on the disk; safe to share between threads.
public final class ChunkStore: Sendable {
    private struct Content {
        /// Written or hashed since the store was opened, with the length of each.
        var verified: [ChunkID: UInt32] = [:]
        /// Found when the store was opened, not looked at since.
        var found: Set<ChunkID> = []
        var bytes: UInt64 = 0
    }

    private let path: String
    private let folder: Descriptor
    private let maximumBytes: UInt64
    private let content: Mutex<Content>
    private let drafts = Atomic<Int>(0)

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
        var content = Content()
        try Errno.narrowed(at: folder) {
            for shelfName in try opened.names(limit: .max - 1) {
                let shelf = try opened.openDirectory(shelfName[...])
                for file in try shelf.names(limit: .max - 1) {
                    guard let id = ChunkID(hex: String(decoding: file, as: UTF8.self)) else {
                        try shelf.remove(file[...])  // a draft a crash left
                        continue
                    }
                    content.found.insert(id)
                    content.bytes += UInt64(max(0, try shelf.status(of: file[...]).st_size))
                }
            }
        }
        self.content = Mutex(content)
    }

    /// Whether the store holds a chunk, whole.
    public func has(_ id: ChunkID) -> Bool {
        let state = content.withLock { ($0.verified[id] != nil, $0.found.contains(id)) }
        if state.0 { return true }
        guard state.1 else { return false }
        do {
            _ = try read(id)
            return true
        } catch {
            // Left by a crash: what is not the chunk makes room for it.
            try? folder.remove(Self.place(of: id))
            content.withLock { _ = $0.found.remove(id) }
            return false
        }
    }

    /// Bytes of a chunk the store holds for certain.
    func length(of id: ChunkID) -> Int? { content.withLock { $0.verified[id].map { Int($0) } } }

    /// Keeps a chunk. Durable only after ``syncAll()``.
    ///
    /// - Parameters:
    ///   - bytes: at most ``Chunker/maximumSize`` bytes, at least one.
    ///   - expected: what the sender calls it; other bytes are refused.
    /// - Throws: ``WorkspaceError/corrupt(_:)``, ``WorkspaceError/tooLarge(what:limit:)`` or
    ///   ``WorkspaceError/diskFull(path:needed:free:)``; the store is then as it was.
    @discardableResult
    public func put(_ bytes: [UInt8], expecting expected: ChunkID? = nil) throws(WorkspaceError) -> ChunkID {
        guard !bytes.isEmpty, bytes.count <= Chunker.maximumSize else {
            throw .corrupt("a chunk has \(bytes.count) bytes instead of 1 to \(Chunker.maximumSize)")
        }
        let id = ChunkID(of: bytes)
        guard expected == nil || expected == id else { throw .corrupt("a chunk has other bytes than its name says") }
        if has(id) { return id }
        let isWithinBounds = content.withLock { content in
            guard content.bytes + UInt64(bytes.count) <= maximumBytes else { return false }
            content.bytes += UInt64(bytes.count)
            return true
        }
        guard isWithinBounds else { throw .tooLarge(what: "bytes of chunks", limit: maximumBytes) }
        // Under a name of its own first: readers and other writers of the same chunk only ever meet a whole one.
        let draft = Self.shelf(of: id) + Array("/draft-\(drafts.add(1, ordering: .relaxed).oldValue)".utf8)
        do throws(Errno) {
            try openDraft(draft, onShelfOf: id).write(bytes)
            try folder.rename(draft, to: Self.place(of: id))
        } catch {
            content.withLock { $0.bytes -= UInt64(bytes.count) }
            try? folder.remove(draft)
            guard error.isDiskFull else { throw .file(path: path, errno: error.code) }
            throw .diskFull(path: path, needed: UInt64(bytes.count), free: (try? folder.freeBytes()) ?? 0)
        }
        content.withLock { content in
            // Another thread kept the same chunk meanwhile, and counted it.
            if content.verified.updateValue(UInt32(bytes.count), forKey: id) != nil { content.bytes -= UInt64(bytes.count) }
        }
        return id
    }

    /// Reads a chunk and hashes it again.
    ///
    /// - Throws: ``WorkspaceError/missingChunk(_:)``, or ``WorkspaceError/corrupt(_:)`` when the disk holds other bytes.
    public func read(_ id: ChunkID) throws(WorkspaceError) -> [UInt8] {
        let bytes: [UInt8]
        do throws(Errno) {
            let file = try folder.open(Self.place(of: id), O_RDONLY | O_NONBLOCK)
            let size = Int(try file.status().st_size)
            // One byte more than a chunk may have, so that an overlong file is noticed and not loaded.
            let capacity = min(max(size, 0), Chunker.maximumSize + 1)
            bytes = try file.bytes(at: 0, count: capacity)
        } catch {
            if error.code == ENOENT { throw .missingChunk(id) }
            throw .file(path: path, errno: error.code)
        }
        guard ChunkID(of: bytes) == id else { throw .corrupt("chunk \(id) is damaged on the disk") }
        content.withLock { content in
            if content.found.remove(id) != nil { content.verified[id] = UInt32(bytes.count) }
        }
        return bytes
    }

    /// The chunks a manifest needs and the store does not hold, each once, in the order of the manifest.
    public func missing(from manifest: Manifest) -> [ChunkID] {
        var asked: Set<ChunkID> = []
        var missing: [ChunkID] = []
        for entry in manifest.entries {
            for id in entry.chunks where asked.insert(id).inserted && !has(id) { missing.append(id) }
        }
        return missing
    }

    /// Takes from an older copy of the workspace what a manifest needs, so that it need not be sent.
    ///
    /// The tree is scanned and only read; chunks are copied, since the tree may be removed before the restore.
    ///
    /// - Parameters:
    ///   - tree: path of the old workspace.
    ///   - manifest: the workspace to come.
    /// - Returns: how many chunks were taken.
    /// - Throws: as ``WorkspaceScanner/scan(previous:mode:)`` and ``put(_:expecting:)``. A chunk whose file changes
    ///   meanwhile is passed over.
    @discardableResult
    public func seed(
        fromTree tree: String, for manifest: Manifest, limits: WorkspaceLimits = WorkspaceLimits()
    ) throws(WorkspaceError) -> Int {
        let needed = missing(from: manifest)
        guard !needed.isEmpty else { return 0 }
        let (_, state) = try WorkspaceScanner(root: tree, limits: limits).scan(mode: .live)
        let reader = try ChunkReader(root: tree, state: state)
        var taken = 0
        for id in needed where reader.has(id) {
            do {
                try put(try reader.readChunk(id), expecting: id)
                taken += 1
            } catch .changedDuringRead {
                continue
            }
        }
        return taken
    }

    /// Brings all chunks kept so far to the disk.
    public func syncAll() throws(WorkspaceError) {
        try Errno.narrowed(at: path) { try folder.syncFileSystem() }
    }

    /// Forgets and removes all chunks; the store stays open and empty.
    public func removeAll() throws(WorkspaceError) {
        try Errno.narrowed(at: path) { try TreeRemoval.empty(folder) }
        content.withLock { $0 = Content() }
    }

    private func openDraft(_ draft: ArraySlice<UInt8>, onShelfOf id: ChunkID) throws(Errno) -> Descriptor {
        let flags = O_WRONLY | O_CREAT | O_EXCL
        do throws(Errno) {
            return try folder.open(draft, flags, mode: 0o600)
        } catch {
            guard error.code == ENOENT else { throw error }
            do throws(Errno) {
                try folder.makeDirectory(Self.shelf(of: id))
            } catch {
                guard error.code == EEXIST else { throw error }  // another thread was first
            }
            return try folder.open(draft, flags, mode: 0o600)
        }
    }

    /// 256 folders keep each listing short, as git does with its objects.
    private static func shelf(of id: ChunkID) -> ArraySlice<UInt8> { Array(id.hex.utf8.prefix(2))[...] }

    private static func place(of id: ChunkID) -> ArraySlice<UInt8> {
        shelf(of: id) + [UInt8(ascii: "/")] + Array(id.hex.utf8)
    }
}
