/// The steps that turn the tree of one valid manifest into that of another.
///
/// From the empty manifest, they build a tree from nothing. A file stays the file it is while its content is patched,
/// so links to it hold; all other names that differ are removed and made anew.
struct TreePlan {
    struct FileStep {
        var entry: WorkspaceEntry
        /// The file that stands there already.
        var old: WorkspaceEntry?
    }

    struct DirectoryStep {
        var entry: WorkspaceEntry
        var oldAttributes: [ExtendedAttribute]
    }

    /// What goes, deepest first.
    private(set) var removals: [WorkspaceEntry] = []
    private(set) var newDirectories: [WorkspaceEntry] = []
    private(set) var files: [FileStep] = []
    private(set) var hardLinks: [WorkspaceEntry] = []
    private(set) var symlinks: [WorkspaceEntry] = []
    /// Directories that stay and gain or lose names: they must be writable meanwhile.
    private(set) var unlocked: [WorkspaceEntry] = []
    /// Directories whose mode, time or attributes are to be set, deepest first: a read-only one must not keep its
    /// content out, and every name added or removed moves the time.
    private(set) var stamped: [DirectoryStep] = []

    init(from old: Manifest, to new: Manifest) {
        var touched: Set<ArraySlice<UInt8>> = []
        var remaining = old.entries[...]
        /// Directories that are in both, old and new.
        var kept: [(old: WorkspaceEntry, new: WorkspaceEntry)] = []
        for entry in new.entries {
            while let first = remaining.first, first.path < entry.path {
                remove(first, &touched)
                remaining.removeFirst()
            }
            guard let before = remaining.first, before.path == entry.path else {
                make(entry, &touched)
                continue
            }
            remaining.removeFirst()
            switch (before.kind, entry.kind) {
            case (.directory, .directory): kept.append((before, entry))
            case _ where before == entry: break
            case (.file, .file): files.append(FileStep(entry: entry, old: before))
            default:
                remove(before, &touched)
                make(entry, &touched)
            }
        }
        for rest in remaining { remove(rest, &touched) }
        removals.reverse()
        for (before, entry) in kept {
            let isTouched = touched.contains(entry.path.bytes[...])
            if isTouched { unlocked.append(before) }
            if isTouched || before != entry {
                stamped.append(DirectoryStep(entry: entry, oldAttributes: before.attributes))
            }
        }
        unlocked += removals.reversed().filter { $0.kind == .directory }
        unlocked.sort { $0.path < $1.path }
        stamped += newDirectories.map { DirectoryStep(entry: $0, oldAttributes: []) }
        stamped.sort { $1.entry.path < $0.entry.path }
    }

    /// Most bytes the steps add to the disk: content without the chunks that become holes, and a block for each name.
    var addedBytes: UInt64 {
        let names = newDirectories.count + files.count + hardLinks.count + symlinks.count
        var bytes = UInt64(names) * TreeBuilder.blockSize
        for step in files {
            let holes = UInt64(step.entry.chunks.count { $0 == Chunker.zeros }) * UInt64(Chunker.maximumSize)
            bytes += step.entry.size - min(step.entry.size, step.old?.size ?? holes)
        }
        return bytes
    }

    /// Chunks of the old tree that the steps may overwrite or remove.
    var overwritten: Set<ChunkID> {
        var chunks: Set<ChunkID> = []
        for entry in removals { chunks.formUnion(entry.chunks) }
        for step in files {
            guard let old = step.old?.chunks, old != step.entry.chunks else { continue }
            // What both begin with stays where it is.
            let same = zip(old, step.entry.chunks).prefix { $0 == $1 }.count
            chunks.formUnion(old[same...])
        }
        return chunks
    }

    private mutating func remove(_ entry: WorkspaceEntry, _ touched: inout Set<ArraySlice<UInt8>>) {
        touched.insert(entry.path.parent)
        removals.append(entry)
    }

    private mutating func make(_ entry: WorkspaceEntry, _ touched: inout Set<ArraySlice<UInt8>>) {
        touched.insert(entry.path.parent)
        switch entry.kind {
        case .directory: newDirectories.append(entry)
        case .file: files.append(FileStep(entry: entry, old: nil))
        case .hardlink: hardLinks.append(entry)
        case .symlink: symlinks.append(entry)
        }
    }
}
