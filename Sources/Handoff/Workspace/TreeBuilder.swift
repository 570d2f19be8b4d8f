import Glibc

/// Carries a plan out, in an order that keeps every step inside of the tree.
///
/// Both manifests of the plan are validated. Directories are opened part by part and never through a link; links are
/// made last.
struct TreeBuilder {
    /// Runs of zeros this long, at multiples of it, become holes.
    static let blockSize: UInt64 = 4096

    private let store: ChunkStore
    private let isProvenLater: Bool
    private let root: Descriptor
    /// Nil where all belongs to this process's user.
    private let owner: FileOwner?
    private var cursor: TreeCursor
    /// What is to be brought to the disk one by one; nil when there is too much of it.
    private var written: [Descriptor]? = []
    /// Most files and directories synced one by one. Few are cheaper so, and do not wait for what others on the same
    /// file system write, which counts while an agent is frozen; each is an open descriptor.
    private static let maximumSyncedAlone = 128

    /// - Parameter isProvenLater: the whole tree is read back and its root compared, whatever the store gives.
    init(root: Descriptor, store: ChunkStore, isProvenLater: Bool) throws(Errno) {
        self.store = store
        self.isProvenLater = isProvenLater
        self.root = root
        owner = try FileOwner(of: root)
        cursor = TreeCursor(root: root)
    }

    mutating func carryOut(_ plan: TreePlan) throws(WorkspaceError) {
        for entry in plan.unlocked {
            try at(entry.path) { try $0.cursor.directory(at: entry.path.bytes[...]).setMode(0o700) }
        }
        for entry in plan.removals {
            try at(entry.path) { builder in
                let parent = try builder.cursor.parent(of: entry.path)
                try parent.remove(entry.path.name, isDirectory: entry.kind == .directory)
            }
        }
        // Directories just removed may be made again: none opened before is the one that stands there now.
        cursor = TreeCursor(root: root)
        for entry in plan.newDirectories {
            try at(entry.path) { builder in
                let parent = try builder.cursor.parent(of: entry.path)
                try parent.makeDirectory(entry.path.name)
                if let owner = builder.owner { try parent.setOwner(owner, of: entry.path.name) }
            }
        }
        if plan.files.count + plan.stamped.count > Self.maximumSyncedAlone { written = nil }
        for step in plan.files { try at(step.entry.path) { try $0.write(step) } }
        var firstNames = TreeCursor(root: root)
        for entry in plan.hardLinks {
            guard let first = entry.target else { continue }
            try at(entry.path) { builder in
                let source = try firstNames.parent(of: first)
                try source.link(first.name, into: builder.cursor.parent(of: entry.path), as: entry.path.name)
            }
        }
        for entry in plan.symlinks {
            guard let text = entry.target else { continue }
            try at(entry.path) { builder in
                let parent = try builder.cursor.parent(of: entry.path)
                try parent.makeLink(entry.path.name, text: text.bytes)
                if let owner = builder.owner { try parent.setOwner(owner, of: entry.path.name) }
                try parent.setTime(entry.modified, ofLink: entry.path.name)
            }
        }
        for step in plan.stamped {
            try at(step.entry.path) { builder in
                let directory = try builder.cursor.directory(at: step.entry.path.bytes[...])
                try directory.replaceAttributes(step.oldAttributes, by: step.entry.attributes)
                try directory.setMode(step.entry.mode)
                try directory.setTime(step.entry.modified)
                builder.written?.append(directory)
            }
        }
    }

    /// Brings all that was carried out to the disk.
    func sync() throws(Errno) {
        guard let written else { return try root.syncFileSystem() }
        for descriptor in written { try descriptor.sync() }
        try root.sync()
    }

    private mutating func at(
        _ path: PathBytes, _ body: (inout TreeBuilder) throws -> Void
    ) throws(WorkspaceError) {
        try Errno.narrowed(at: path.escaped) { try body(&self) }
    }

    private mutating func write(_ step: TreePlan.FileStep) throws {
        let entry = step.entry
        let file = try open(step)
        if entry.chunks != step.old?.chunks { try writeContent(of: step, to: file) }
        // Attributes before the mode: a read-only file takes none.
        try file.replaceAttributes(step.old?.attributes ?? [], by: entry.attributes)
        try file.setMode(entry.mode)
        try file.setTime(entry.modified)
        if written != nil {
            file.startWritingOut()
            written?.append(file)
        }
    }

    private mutating func open(_ step: TreePlan.FileStep) throws(Errno) -> Descriptor {
        let name = step.entry.path.name
        let parent = try cursor.parent(of: step.entry.path)
        guard step.old != nil else {
            let file = try parent.open(name, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            // Before the mode is set, whose bits a change of the owner would clear.
            if let owner { try file.setOwner(owner) }
            return file
        }
        do throws(Errno) {
            return try parent.open(name, O_WRONLY)
        } catch {
            guard error.code == EACCES else { throw error }
            try parent.makeAccessible(name)
            return try parent.open(name, O_WRONLY)
        }
    }

    /// Writes the chunks, but for those that stand at the same place of the old content.
    private func writeContent(of step: TreePlan.FileStep, to file: Descriptor) throws {
        let entry = step.entry
        let oldSize = step.old?.size ?? 0
        var old = (step.old?.chunks ?? [])[...]
        var oldOffset: UInt64 = 0
        var offset: UInt64 = 0
        for id in entry.chunks {
            while oldOffset < offset, let passed = old.popFirst() {
                // A chunk the store never had has no known length: nothing behind it can be placed.
                guard let length = store.length(of: passed) else { old = []; break }
                oldOffset += UInt64(length)
            }
            let isInPlace = oldOffset == offset && old.first == id
            let length: Int
            if id == Chunker.zeros, offset >= oldSize {
                length = Chunker.maximumSize  // a hole
            } else if isInPlace, let known = store.length(of: id) {
                length = known
            } else {
                let bytes = isProvenLater ? try store.readToProve(id) : try store.read(id)
                length = bytes.count
                guard UInt64(length) <= entry.size - offset else { break }
                try bytes.withUnsafeBytes {
                    try Self.write($0, to: file, at: offset, leavingHoles: offset >= oldSize)
                }
            }
            guard UInt64(length) <= entry.size - offset else { break }
            offset += UInt64(length)
        }
        guard offset == entry.size else {
            throw WorkspaceError.corrupt("\"\(entry.path)\" has other content than its size says")
        }
        try file.setSize(entry.size)
    }

    /// Writes all but the blocks of zeros, if the file has none of its own content there.
    private static func write(
        _ bytes: UnsafeRawBufferPointer, to file: Descriptor, at offset: UInt64, leavingHoles: Bool
    ) throws(Errno) {
        var start = 0
        var index = 0
        while leavingHoles && index < bytes.count {
            // Blocks are those of the file, not of the chunk.
            let block = min(Int(blockSize - (offset + UInt64(index)) % blockSize), bytes.count - index)
            if Chunker.isZero(UnsafeRawBufferPointer(rebasing: bytes[index..<index + block])) {
                try file.write(UnsafeRawBufferPointer(rebasing: bytes[start..<index]), at: Int64(offset) + Int64(start))
                start = index + block
            }
            index += block
        }
        try file.write(UnsafeRawBufferPointer(rebasing: bytes[start...]), at: Int64(offset) + Int64(start))
    }
}
