import Glibc

/// Empties a folder without following a link out of it.
public enum TreeRemoval {
    /// Removes a folder with all it holds; one that is not there is no error. Blocks on the disk.
    public static func remove(_ path: String) throws(WorkspaceError) {
        guard let root = try? Descriptor.folder(path) else { return }
        try Errno.narrowed(at: path) { try empty(root) }
        guard rmdir(path) == 0 || errno == ENOENT else { throw .file(path: path, errno: errno) }
    }

    /// Removes all the folder holds; the folder stays.
    ///
    /// Directories are made writable first: a restored one may forbid it.
    static func empty(_ folder: Descriptor) throws(Errno) {
        for name in try folder.names(limit: .max - 1) {
            guard try folder.status(of: name[...]).st_mode & S_IFMT == S_IFDIR else {
                try folder.remove(name[...])
                continue
            }
            let child: Descriptor
            do {
                child = try folder.openDirectory(name[...])
            } catch let refusal where refusal.code == EACCES {
                try folder.makeAccessible(name[...])
                child = try folder.openDirectory(name[...])
            }
            try child.setMode(0o700)
            try empty(child)
            try folder.remove(name[...], isDirectory: true)
        }
    }
}
