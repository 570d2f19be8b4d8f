import Glibc

/// Builds the tree a manifest describes, from chunks.
///
/// Manifest and chunks may come from a peer nobody trusts. The manifest is validated first; directories are made and
/// opened part by part without following links; symbolic links are made last, so none exists while anything is written;
/// nothing replaces what is there; set-user-ID and set-group-ID are never set; sizes are bounded by the manifest's, and
/// that by the limits and the room on the disk. All files belong to the process's own user.
///
/// Blocks on the disk: not for a loop thread.
public struct WorkspaceRestorer: Sendable {
    private let limits: WorkspaceLimits
    private let freeBytes: @Sendable (String) throws(WorkspaceError) -> UInt64

    /// - Parameters:
    ///   - limits: bounds on what is restored, and the room to leave on the disk.
    ///   - freeBytes: bytes free at a path; statvfs(3) unless replaced.
    public init(
        limits: WorkspaceLimits = WorkspaceLimits(),
        freeBytes: @escaping @Sendable (String) throws(WorkspaceError) -> UInt64 = WorkspaceRestorer.freeBytes(at:)
    ) {
        self.limits = limits
        self.freeBytes = freeBytes
    }

    /// Restores a workspace; all of it is on the disk when this returns.
    ///
    /// - Parameters:
    ///   - manifest: validated here.
    ///   - store: must hold every chunk of the manifest.
    ///   - folder: an existing, empty folder; its own mode and time are not part of a workspace and stay.
    /// - Throws: the reason; the folder is then empty again, as far as the disk permits.
    public func restore(
        _ manifest: Manifest, from store: ChunkStore, into folder: String
    ) throws(WorkspaceError) {
        try manifest.validate(limits)
        let root = try Descriptor.folder(folder)
        let isEmpty = try Errno.narrowed(at: folder) { try root.names(limit: 1).isEmpty }
        guard isEmpty else { throw .notEmpty(path: folder) }
        let needed = Self.neededBytes(for: manifest)
        let free = try freeBytes(folder)
        guard free >= limits.reservedFreeBytes, needed <= free - limits.reservedFreeBytes else {
            throw .diskFull(path: folder, needed: needed, free: free)
        }
        do throws(WorkspaceError) {
            var builder = TreeBuilder(root: root, store: store)
            try builder.build(manifest)
            try Errno.narrowed(at: folder) { try root.syncFileSystem() }
        } catch {
            try? TreeRemoval.empty(root)
            if case .file(_, let code) = error, Errno(code).isDiskFull {
                throw .diskFull(path: folder, needed: needed, free: (try? freeBytes(folder)) ?? 0)
            }
            throw error
        }
    }

    /// Reads a restored tree afresh and compares its root.
    ///
    /// - Returns: the state of that scan, which serves the chunks of this tree from now on.
    /// - Throws: ``WorkspaceError/rootMismatch(expected:found:)``, or what the scan throws.
    @discardableResult
    public func verify(_ root: ChunkID, of folder: String) throws(WorkspaceError) -> ScanState {
        let (manifest, state) = try WorkspaceScanner(root: folder, limits: limits).scan(mode: .frozen)
        guard manifest.root == root else { throw .rootMismatch(expected: root, found: manifest.root) }
        return state
    }

    /// Bytes an ordinary user may still write at a path.
    public static func freeBytes(at path: String) throws(WorkspaceError) -> UInt64 {
        let folder = try Descriptor.folder(path)
        return try Errno.narrowed(at: path) { try folder.freeBytes() }
    }

    /// Content without the chunks that become holes, and one block for each name.
    private static func neededBytes(for manifest: Manifest) -> UInt64 {
        var needed = UInt64(manifest.entries.count) * TreeBuilder.blockSize
        for entry in manifest.entries {
            let holes = UInt64(entry.chunks.count { $0 == TreeBuilder.zeroChunk }) * UInt64(Chunker.maximumSize)
            needed += entry.size - min(entry.size, holes)
        }
        return needed
    }
}
