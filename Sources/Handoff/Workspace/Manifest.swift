/// What a workspace is at one moment: every name in it, and one hash that binds them all.
public struct Manifest: Codable, Equatable, Sendable {
    /// The version this code writes and reads.
    public static let currentVersion: UInt32 = 1

    public let version: UInt32
    /// All names, in ascending order of their path's bytes, so that a directory precedes what it holds.
    public let entries: [WorkspaceEntry]
    /// Sum of the sizes of all files.
    public let totalBytes: UInt64
    /// Merkle root over all entries: path, kind, mode, time, size, chunks, target and attributes of each.
    ///
    /// Each entry is a leaf, BLAKE2b-256 of 0x00 and its canonical bytes; the root is BLAKE2b-256 of 0x01, version, count,
    /// total and all leaves. A file's chunks are leaves of their own below it, named by their hash.
    public let root: ChunkID

    /// Sorts the entries and computes the root.
    ///
    /// The result may still break a rule; ``validate(_:)`` tells.
    public init(entries: [WorkspaceEntry]) {
        let sorted = entries.sorted { $0.path < $1.path }
        version = Self.currentVersion
        self.entries = sorted
        // A sum beyond 64 bits cannot be valid; validation adds again and refuses it.
        totalBytes = sorted.reduce(0) { $0 &+ $1.size }
        root = Self.root(of: sorted, version: version, totalBytes: totalBytes)
    }

    init(version: UInt32, entries: [WorkspaceEntry], totalBytes: UInt64, root: ChunkID) {
        self.version = version
        self.entries = entries
        self.totalBytes = totalBytes
        self.root = root
    }

    /// The distinct chunks of all files.
    public var chunkIDs: Set<ChunkID> {
        var ids: Set<ChunkID> = []
        for entry in entries { ids.formUnion(entry.chunks) }
        return ids
    }

    /// The entry at a path, found by halving.
    func entry(at path: ArraySlice<UInt8>) -> WorkspaceEntry? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            let order = PathBytes.order(entries[middle].path.bytes[...], path)
            if order == 0 { return entries[middle] }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    static func root(of entries: [WorkspaceEntry], version: UInt32, totalBytes: UInt64) -> ChunkID {
        var top = CanonicalWriter()
        var leaf = CanonicalWriter()
        top.write(UInt8(1))
        top.write(version)
        top.write(UInt64(entries.count))
        top.write(totalBytes)
        for entry in entries {
            leaf.clear()
            leaf.write(UInt8(0))
            entry.write(to: &leaf)
            top.write(ChunkID(of: leaf.bytes))
        }
        return ChunkID(of: top.bytes)
    }
}
