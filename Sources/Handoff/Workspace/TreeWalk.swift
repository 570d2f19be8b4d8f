import Glibc

/// Collects the names of a tree; the content of files is read later.
struct TreeWalk {
    /// A name of a regular file.
    struct File {
        var path: PathBytes
        var key: FileKey
        var fingerprint: FileFingerprint
        var hasOtherNames: Bool
    }

    let mode: WorkspaceScanner.Mode
    let limits: WorkspaceLimits
    private(set) var files: [File] = []
    /// Directories and symbolic links.
    private(set) var others: [WorkspaceEntry] = []

    init(mode: WorkspaceScanner.Mode, limits: WorkspaceLimits) {
        self.mode = mode
        self.limits = limits
    }

    /// Visits a directory; `depth` is the number of names in the paths of what it holds.
    mutating func visit(_ directory: Descriptor, path: [UInt8], depth: Int) throws(WorkspaceError) {
        let names: [[UInt8]]
        do {
            names = try directory.names(limit: limits.maximumEntries)
        } catch {
            if mode == .live && error.isVanished { return }
            throw error.at(PathBytes(path))
        }
        guard files.count + others.count + names.count <= limits.maximumEntries else {
            throw .tooLarge(what: "entries", limit: UInt64(limits.maximumEntries))
        }
        for name in names {
            let place = PathBytes(path.isEmpty ? name : path + [UInt8(ascii: "/")] + name)
            guard depth <= limits.maximumDepth else {
                throw .tooLarge(what: "names in one path", limit: UInt64(limits.maximumDepth))
            }
            guard place.bytes.count <= limits.maximumPathBytes else {
                throw .tooLarge(what: "bytes in one path", limit: UInt64(limits.maximumPathBytes))
            }
            do {
                try Errno.narrowed(at: place.escaped) { try add(name[...], in: directory, at: place, depth: depth) }
            } catch .file(_, let code) where mode == .live && Errno(code).isVanished {
                continue
            }
        }
    }

    private mutating func add(
        _ name: ArraySlice<UInt8>, in directory: Descriptor, at path: PathBytes, depth: Int
    ) throws {
        let status = try directory.status(of: name)
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            files.append(
                File(
                    path: path, key: FileKey(status), fingerprint: FileFingerprint(status),
                    hasOtherNames: status.st_nlink > 1))
        case S_IFDIR:
            let child = try directory.openDirectory(name)
            let status = try child.status()
            others.append(
                WorkspaceEntry(
                    path: path, kind: .directory, mode: UInt32(status.st_mode) & WorkspaceEntry.movedModeBits,
                    modified: Timestamp(status.st_mtim),
                    attributes: try child.attributes()))
            try visit(child, path: path.bytes, depth: depth + 1)
        case S_IFLNK:
            others.append(
                WorkspaceEntry(
                    path: path, kind: .symlink, modified: Timestamp(status.st_mtim),
                    target: PathBytes(try directory.linkText(of: name))))
        case S_IFSOCK: throw WorkspaceError.specialFile(path, kind: "socket")
        case S_IFIFO: throw WorkspaceError.specialFile(path, kind: "named pipe")
        case S_IFBLK, S_IFCHR: throw WorkspaceError.specialFile(path, kind: "device")
        default: throw WorkspaceError.specialFile(path, kind: "special file")
        }
    }
}
