import Glibc
import MeshNode

/// The folder of one incoming move: `chunks/` and `tree/`.
enum MoveFolder {
    static func remove(_ path: String) throws { try TreeRemoval.remove(path) }

    /// Puts a proven tree in a workspace's place. A crash leaves the old or the new one, and running it again
    /// comes to the same end.
    ///
    /// - Parameter keepsFolder: the workspace is mounted elsewhere, so what is in it is exchanged, entry by entry: a
    ///   crash may leave a mixture, which running it again, or ``revert(workspace:retired:discarded:keepsFolder:)``, ends.
    static func install(tree: String, as workspace: String, retired: String, keepsFolder: Bool = false) throws {
        guard access(tree, F_OK) == 0 else { return }  // done already
        if keepsFolder {
            if access(retired, F_OK) != 0 {
                try empty(workspace, into: retired + partly)
                guard rename(retired + partly, retired) == 0 else { throw failure(retired) }
            }
            try empty(tree, into: workspace)
            guard rmdir(tree) == 0 else { throw failure(tree) }
            return try sync(workspace)
        }
        if access(workspace, F_OK) == 0 {
            guard rename(workspace, retired) == 0 else { throw failure(workspace) }
        }
        guard rename(tree, workspace) == 0 else { throw failure(tree) }
        try sync(String(workspace[..<(workspace.lastIndex(of: "/") ?? workspace.startIndex)]))
    }

    /// Undoes an installation for a move that came to nothing: the older workspace is back. Running it again comes to
    /// the same end.
    ///
    /// - Returns: false when there was none.
    static func revert(
        workspace: String, retired: String, discarded: String, keepsFolder: Bool = false
    ) throws -> Bool {
        if keepsFolder {
            if access(retired + partly, F_OK) == 0 {
                // Nothing of the new tree is there yet.
                try empty(retired + partly, into: workspace)
                guard rmdir(retired + partly) == 0 else { throw failure(retired) }
                try sync(workspace)
                return true
            }
            guard access(retired, F_OK) == 0 else { return false }
            if access(discarded, F_OK) != 0 {
                try empty(workspace, into: discarded + partly)
                guard rename(discarded + partly, discarded) == 0 else { throw failure(discarded) }
            }
            try empty(retired, into: workspace)
            guard rmdir(retired) == 0 else { throw failure(retired) }
            try sync(workspace)
            return true
        }
        guard access(retired, F_OK) == 0 else { return false }
        if access(workspace, F_OK) == 0 {
            guard rename(workspace, discarded) == 0 else { throw failure(workspace) }
        }
        guard rename(retired, workspace) == 0 else { throw failure(retired) }
        return true
    }

    /// What an exchange that is not done is called.
    private static let partly = ".part"

    /// Moves all that is in a folder to another, which is made if need be.
    private static func empty(_ source: String, into target: String) throws {
        guard mkdir(target, 0o700) == 0 || errno == EEXIST else { throw failure(target) }
        let (from, to) = (try Descriptor.folder(source), try Descriptor.folder(target))
        do throws(Errno) {
            for name in try from.names(limit: .max - 1) { try from.move(name[...], to: to) }
        } catch {
            errno = error.code
            throw failure(source)
        }
        try sync(target)
    }

    private static func sync(_ path: String) throws {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure(path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> OperationFailure {
        OperationFailure(
            errno == ENOSPC ? .noSpace : .failed, "\(path): \(String(cString: strerror(errno)))")
    }
}
