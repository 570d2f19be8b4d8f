import Glibc
import MeshNode

/// The folder of one incoming move: `chunks/` and `tree/`.
enum MoveFolder {
    /// Removes the folder with all it holds, never following a link.
    static func remove(_ path: String) throws {
        guard let root = try? Descriptor.folder(path) else { return }
        try TreeRemoval.empty(root)
        guard rmdir(path) == 0 || errno == ENOENT else {
            throw OperationFailure(.failed, "cannot remove \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// Puts a proven tree in a workspace's place. A crash leaves the old or the new one, and running it again
    /// comes to the same end.
    static func install(tree: String, as workspace: String, retired: String) throws {
        guard access(tree, F_OK) == 0 else { return }  // done already
        if access(workspace, F_OK) == 0 {
            guard rename(workspace, retired) == 0 else { throw failure(workspace) }
        }
        guard rename(tree, workspace) == 0 else { throw failure(tree) }
        let parent = String(workspace[..<(workspace.lastIndex(of: "/") ?? workspace.startIndex)])
        let folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure(parent) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure(parent) }
    }

    /// Undoes ``install(tree:as:retired:)`` for a move that came to nothing: the older workspace is back.
    ///
    /// - Returns: false when there was none.
    static func revert(workspace: String, retired: String, discarded: String) throws -> Bool {
        guard access(retired, F_OK) == 0 else { return false }
        if access(workspace, F_OK) == 0 {
            guard rename(workspace, discarded) == 0 else { throw failure(workspace) }
        }
        guard rename(retired, workspace) == 0 else { throw failure(retired) }
        return true
    }

    private static func failure(_ path: String) -> OperationFailure {
        OperationFailure(
            errno == ENOSPC ? .noSpace : .failed, "\(path): \(String(cString: strerror(errno)))")
    }
}
