extension ChunkStore {
    /// Takes from an older copy of the workspace what a manifest needs, so that it need not be sent.
    ///
    /// The tree is scanned and only read; chunks are copied, since the tree may be removed before the restore.
    ///
    /// - Parameters:
    ///   - tree: path of the old workspace.
    ///   - manifest: the workspace to come.
    ///   - limits: bounds on the old tree.
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
}
