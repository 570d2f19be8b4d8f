import Glibc

/// Writes the entries of a validated manifest into an empty folder, in an order that keeps every step inside of it.
struct TreeBuilder {
    /// Runs of zeros this long, at multiples of it, become holes.
    static let blockSize: UInt64 = 4096
    /// The chunk a long run of zeros is cut into.
    static let zeroChunk = ChunkID(of: [UInt8](repeating: 0, count: Chunker.maximumSize))

    private let store: ChunkStore
    private var cursor: TreeCursor
    /// A second place in the tree, for the first names of hard links.
    private var firstNames: TreeCursor

    init(root: Descriptor, store: ChunkStore) {
        self.store = store
        cursor = TreeCursor(root: root)
        firstNames = TreeCursor(root: root)
    }

    /// Directories, files, hard links, symbolic links; then modes and times of directories, deepest first: a read-only
    /// one must not keep its content out, and whatever is added to a directory moves its time.
    mutating func build(_ manifest: Manifest) throws(WorkspaceError) {
        try each(.directory, of: manifest) { builder, entry in
            try builder.cursor.parent(of: entry.path).makeDirectory(entry.path.name)
        }
        try each(.file, of: manifest) { builder, entry in try builder.write(entry) }
        try each(.hardlink, of: manifest) { builder, entry in
            guard let first = entry.target else { return }
            let source = try builder.firstNames.parent(of: first)
            try source.link(first.name, into: builder.cursor.parent(of: entry.path), as: entry.path.name)
        }
        try each(.symlink, of: manifest) { builder, entry in
            guard let text = entry.target else { return }
            let parent = try builder.cursor.parent(of: entry.path)
            try parent.makeLink(entry.path.name, text: text.bytes)
            try parent.setTime(entry.modified, ofLink: entry.path.name)
        }
        for entry in manifest.entries.reversed() where entry.kind == .directory {
            try Errno.narrowed(at: entry.path.escaped) {
                let directory = try cursor.directory(at: entry.path.bytes[...])
                try directory.setAttributes(entry.attributes)
                try directory.setMode(entry.mode)
                try directory.setTime(entry.modified)
            }
        }
    }

    private mutating func each(
        _ kind: WorkspaceEntry.Kind, of manifest: Manifest,
        _ body: (inout TreeBuilder, WorkspaceEntry) throws -> Void
    ) throws(WorkspaceError) {
        for entry in manifest.entries where entry.kind == kind {
            try Errno.narrowed(at: entry.path.escaped) { try body(&self, entry) }
        }
    }

    private mutating func write(_ entry: WorkspaceEntry) throws {
        let file = try cursor.parent(of: entry.path).open(entry.path.name, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        var offset: UInt64 = 0
        for id in entry.chunks {
            let bytes = try store.read(id)
            guard UInt64(bytes.count) <= entry.size - offset else {
                throw WorkspaceError.corrupt("\"\(entry.path)\" has more content than its size says")
            }
            if id != Self.zeroChunk {
                try bytes.withUnsafeBytes { try Self.write($0, to: file, at: offset) }
            }
            offset += UInt64(bytes.count)
        }
        guard offset == entry.size else {
            throw WorkspaceError.corrupt("\"\(entry.path)\" has less content than its size says")
        }
        try file.setSize(entry.size)
        // Attributes before the mode: a read-only file takes none.
        try file.setAttributes(entry.attributes)
        try file.setMode(entry.mode)
        try file.setTime(entry.modified)
    }

    /// Writes all but the blocks of zeros, which the size covers as holes.
    private static func write(_ bytes: UnsafeRawBufferPointer, to file: Descriptor, at offset: UInt64) throws(Errno) {
        var start = 0
        var index = 0
        while index < bytes.count {
            // Blocks are those of the file, not of the chunk.
            let block = min(Int(blockSize - (offset + UInt64(index)) % blockSize), bytes.count - index)
            if isZero(UnsafeRawBufferPointer(rebasing: bytes[index..<index + block])) {
                try file.write(UnsafeRawBufferPointer(rebasing: bytes[start..<index]), at: Int64(offset) + Int64(start))
                start = index + block
            }
            index += block
        }
        try file.write(UnsafeRawBufferPointer(rebasing: bytes[start...]), at: Int64(offset) + Int64(start))
    }

    private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, first == 0, let start = bytes.baseAddress else { return bytes.isEmpty }
        // Every byte equals the one before it, and the first is zero.
        return memcmp(start, start.advanced(by: 1), bytes.count - 1) == 0
    }
}
