/// What turns one manifest into a later one of the same workspace, in a compact form.
///
/// A manifest of a large workspace is itself large, and most of it stays the same from round to round. The difference
/// names what went, and carries the entries that changed; the chunks of a changed file are runs of its old ones and
/// new names between them. The result is a whole manifest whose root is checked, so a difference can say nothing that
/// a manifest could not.
enum ManifestDifference {
    private static let magic = Array("kars-wd1".utf8)

    /// A run of the chunks of a changed file.
    private enum Run {
        /// Chunks the file had before, by place and number.
        case old(start: Int, count: Int)
        case new([ChunkID])
    }

    /// What differs between two manifests.
    struct Changes {
        fileprivate(set) var removed: [PathBytes] = []
        /// Entries that are new or other than before, with the chunks that stood there before.
        fileprivate(set) var changed: [(entry: WorkspaceEntry, before: [ChunkID])] = []

        init(from old: Manifest, to new: Manifest) {
            var remaining = old.entries[...]
            for entry in new.entries {
                while let first = remaining.first, first.path < entry.path {
                    removed.append(first.path)
                    remaining.removeFirst()
                }
                guard let before = remaining.first, before.path == entry.path else {
                    changed.append((entry, []))
                    continue
                }
                remaining.removeFirst()
                if before != entry { changed.append((entry, before.chunks)) }
            }
            removed += remaining.map(\.path)
        }
    }

    static func encode(from old: Manifest, to new: Manifest) -> [UInt8] {
        encode(Changes(from: old, to: new), from: old, to: new)
    }

    static func encode(_ changes: Changes, from old: Manifest, to new: Manifest) -> [UInt8] {
        var writer = CanonicalWriter()
        writer.write(magic)
        writer.write(old.root)
        writer.write(new.version)
        writer.write(new.totalBytes)
        writer.write(new.root)
        writer.write(UInt32(changes.removed.count))
        for path in changes.removed { writer.write(path.bytes) }
        writer.write(UInt32(changes.changed.count))
        for (entry, before) in changes.changed {
            var bare = entry
            bare.chunks = []
            bare.write(to: &writer)
            let runs = runs(from: before, to: entry.chunks)
            writer.write(UInt32(runs.count))
            for run in runs {
                switch run {
                case .old(let start, let count):
                    writer.write(UInt8(0))
                    writer.write(UInt32(start))
                    writer.write(UInt32(count))
                case .new(let ids):
                    writer.write(UInt8(1))
                    writer.write(UInt32(ids.count))
                    for id in ids { writer.write(id) }
                }
            }
        }
        return writer.bytes
    }

    private static func runs(from old: [ChunkID], to new: [ChunkID]) -> [Run] {
        let places = Dictionary(old.enumerated().map { ($1, $0) }) { first, _ in first }
        var runs: [Run] = []
        var index = 0
        while index < new.count {
            if let start = places[new[index]] {
                var count = 1
                while index + count < new.count, start + count < old.count, new[index + count] == old[start + count] {
                    count += 1
                }
                runs.append(.old(start: start, count: count))
                index += count
            } else {
                let first = index
                while index < new.count, places[new[index]] == nil { index += 1 }
                runs.append(.new(Array(new[first..<index])))
            }
        }
        return runs
    }

    /// Reads a difference and applies it.
    ///
    /// - Parameter old: the manifest it was made against.
    /// - Returns: the new manifest, validated, and those of its entries that the difference brought.
    /// - Throws: ``WorkspaceError/corrupt(_:)`` for a difference to another manifest or one that says the wrong root, and
    ///   as ``Manifest/validate(_:)``.
    static func apply(
        _ bytes: [UInt8], to old: Manifest, limits: WorkspaceLimits = WorkspaceLimits()
    ) throws(WorkspaceError) -> (manifest: Manifest, changed: [WorkspaceEntry]) {
        var reader = CanonicalReader(bytes)
        guard try reader.readBytes() == magic else { throw .corrupt("this is no difference of manifests") }
        guard try reader.readID() == old.root else { throw .corrupt("the difference is to another manifest") }
        guard try reader.read(UInt32.self) == Manifest.currentVersion else {
            throw .corrupt("the version of the difference is unknown")
        }
        let totalBytes = try reader.read(UInt64.self)
        let root = try reader.readID()
        var gone: Set<PathBytes> = []
        for _ in 0..<(try reader.readCount(ofItems: 4)) { gone.insert(PathBytes(try reader.readBytes())) }
        // Runs make much out of few bytes: all lists together stay below what a manifest may hold.
        var budget = limits.maximumManifestBytes / ChunkID.byteCount
        var changed: [WorkspaceEntry] = []
        for _ in 0..<(try reader.readCount(ofItems: WorkspaceEntry.smallestEncodedSize)) {
            var entry = try WorkspaceEntry(from: &reader)
            guard entry.chunks.isEmpty else { throw .corrupt("an entry of a difference lists chunks outside of runs") }
            entry.chunks = try readChunks(&reader, of: old.entry(at: entry.path.bytes[...])?.chunks ?? [], &budget)
            gone.insert(entry.path)
            changed.append(entry)
        }
        guard reader.remaining == 0 else { throw .corrupt("bytes follow the difference") }
        guard old.entries.count + changed.count <= limits.maximumEntries * 2 else {
            throw .tooLarge(what: "entries", limit: UInt64(limits.maximumEntries))
        }
        let new = Manifest(entries: old.entries.filter { !gone.contains($0.path) } + changed)
        guard new.root == root, new.totalBytes == totalBytes else {
            throw .corrupt("the difference does not lead to the root it names")
        }
        try new.validateEntries(limits)
        return (new, changed)
    }

    private static func readChunks(
        _ reader: inout CanonicalReader, of old: [ChunkID], _ budget: inout Int
    ) throws(WorkspaceError) -> [ChunkID] {
        var chunks: [ChunkID] = []
        for _ in 0..<(try reader.readCount(ofItems: 5)) {
            switch try reader.read(UInt8.self) {
            case 0:
                let start = Int(try reader.read(UInt32.self)), count = Int(try reader.read(UInt32.self))
                guard start <= old.count, count <= old.count - start else {
                    throw .corrupt("a run lies outside of the old file")
                }
                budget -= count
                guard budget >= 0 else { throw .corrupt("the runs of a difference are too long") }
                chunks += old[start..<start + count]
            case 1:
                let count = try reader.readCount(ofItems: ChunkID.byteCount)
                budget -= count
                guard budget >= 0 else { throw .corrupt("the runs of a difference are too long") }
                for _ in 0..<count { chunks.append(try reader.readID()) }
            default: throw .corrupt("a run is neither old nor new")
            }
        }
        return chunks
    }
}
