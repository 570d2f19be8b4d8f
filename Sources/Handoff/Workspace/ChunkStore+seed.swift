extension ChunkStore {
    /// Takes from an older copy of the workspace what a manifest needs, so that it need not be sent.
    ///
    /// The tree is scanned now, and its chunks are read where they lie when they are needed, hashed again where their file
    /// may have changed: nothing is copied. So it must stay as it is until the workspace is restored; it may be renamed. A
    /// chunk that it turns out not to have any more is missing again.
    ///
    /// - Parameters:
    ///   - tree: path of the old workspace.
    ///   - manifest: the workspace to come.
    ///   - limits: bounds on the old tree.
    /// - Returns: how many chunks it has.
    /// - Throws: as ``WorkspaceScanner/scan(previous:mode:)``.
    @discardableResult
    public func seed(
        fromTree tree: String, for manifest: Manifest, limits: WorkspaceLimits = WorkspaceLimits()
    ) throws(WorkspaceError) -> Int {
        let needed = missing(from: manifest)
        guard !needed.isEmpty else { return 0 }
        let (_, state) = try WorkspaceScanner(root: tree, limits: limits).scan(mode: .live)
        let reader = try ChunkReader(root: tree, state: state, wanted: Set(needed))
        borrow(from: reader)
        return needed.count { reader.has($0) }
    }
}
