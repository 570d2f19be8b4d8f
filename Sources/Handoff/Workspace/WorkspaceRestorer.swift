/// Builds the tree a manifest describes, from chunks.
///
/// Manifest and chunks may come from a peer nobody trusts. The manifest is validated first; directories are made and
/// opened part by part without following links; symbolic links are made last, so none of the new ones exists while
/// anything is written; nothing replaces what a stranger put there; set-user-ID and set-group-ID are never set; sizes
/// are bounded by the manifest's, and that by the limits and the room on the disk. All files belong to the owner of
/// the folder.
///
/// A move restores what was copied while the agent ran, verifies it, and once the agent is frozen only updates and
/// verifies the difference. Blocks on the disk: not for a loop thread.
public struct WorkspaceRestorer: Sendable {
    private let limits: WorkspaceLimits
    private let freeBytes: @Sendable (String) throws(WorkspaceError) -> UInt64

    /// - Parameters:
    ///   - limits: bounds on what is restored, and the room to leave on the disk.
    ///   - freeBytes: bytes free at a path; what statvfs(3) says unless replaced.
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
    ///   - emptiesStore: the chunks are not needed besides the tree, and go before all is brought to the disk: most of
    ///     them then never get there. The store can go on with what the tree lends. The caller proves the tree with
    ///     ``verify(_:of:previous:)``: chunks are not hashed a second time here.
    /// - Throws: the reason; the folder is then empty again, as far as the disk permits.
    public func restore(
        _ manifest: Manifest, from store: ChunkStore, into folder: String, emptiesStore: Bool = false
    ) throws(WorkspaceError) {
        let root = try Descriptor.folder(folder)
        let isEmpty = try Errno.narrowed(at: folder) { try root.names(limit: 1).isEmpty }
        guard isEmpty else { throw .notEmpty(path: folder) }
        let nothing = Manifest(entries: [])
        try manifest.validate(limits)
        try updateValidated(folder, from: nothing, to: manifest, from: store, emptiesStore: emptiesStore)
    }

    /// Turns a restored workspace into a later one, touching only what differs; on the disk when this returns.
    ///
    /// - Parameters:
    ///   - folder: where `old` was restored; nothing has been written there since.
    ///   - old: the workspace that stands there.
    ///   - new: the workspace to come; validated here.
    ///   - store: must hold every chunk of the files that differ; with those of `old` too, less is written.
    /// - Throws: the reason. A manifest, link or size refused before the first step leaves the folder as it was; after
    ///   it, the folder is emptied, and the workspace can be restored from the store.
    public func update(
        _ folder: String, from old: Manifest, to new: Manifest, from store: ChunkStore
    ) throws(WorkspaceError) {
        try old.validate(limits)
        try new.validate(limits)
        try updateValidated(folder, from: old, to: new, from: store)
    }

    /// As ``update(_:from:to:from:)``, for manifests that were validated just now, with the same limits.
    func updateValidated(
        _ folder: String, from old: Manifest, to new: Manifest, from store: ChunkStore, emptiesStore: Bool = false
    ) throws(WorkspaceError) {
        let root = try Descriptor.folder(folder)
        let plan = TreePlan(from: old, to: new)
        let needed = plan.addedBytes
        let free = try freeBytes(folder)
        guard free >= limits.reservedFreeBytes, needed <= free - limits.reservedFreeBytes else {
            throw .diskFull(path: folder, needed: needed, free: free)
        }
        do throws(WorkspaceError) {
            var builder = try Errno.narrowed(at: folder) {
                try TreeBuilder(root: root, store: store, isProvenLater: emptiesStore)
            }
            // The store may take chunks from this very tree.
            try store.keep(plan.overwritten)
            try builder.carryOut(plan)
            if emptiesStore { try store.removeAll() }
            try Errno.narrowed(at: folder) { try builder.sync() }
        } catch {
            try? TreeRemoval.empty(root)
            if case .file(_, let code) = error, Errno(code).isDiskFull {
                throw .diskFull(path: folder, needed: needed, free: (try? freeBytes(folder)) ?? 0)
            }
            throw error
        }
    }

    /// Reads a restored tree and compares its root.
    ///
    /// - Parameters:
    ///   - root: of the manifest that was restored.
    ///   - previous: what verifying this folder returned before an update; spares what the update did not touch.
    /// - Returns: the state of this scan, for the next one and to serve the chunks of this tree from now on.
    /// - Throws: ``WorkspaceError/rootMismatch(expected:found:)``, or what the scan throws.
    @discardableResult
    public func verify(
        _ root: ChunkID, of folder: String, previous: ScanState? = nil
    ) throws(WorkspaceError) -> ScanState {
        // Nobody else writes here, so a live scan is as exact as a frozen one, and its state can be used again.
        let (manifest, state) = try WorkspaceScanner(root: folder, limits: limits).scanUnchecked(previous: previous, mode: .live)
        guard manifest.root == root else { throw .rootMismatch(expected: root, found: manifest.root) }
        return state
    }

    /// Bytes an ordinary user may still write at a path.
    public static func freeBytes(at path: String) throws(WorkspaceError) -> UInt64 {
        let folder = try Descriptor.folder(path)
        return try Errno.narrowed(at: path) { try folder.freeBytes() }
    }
}
