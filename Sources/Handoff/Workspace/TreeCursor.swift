/// Opens the directories of a tree part by part, never through a link, keeping those on the way to the last one.
///
/// Entries come in path order, so most stand in the directory asked for before.
struct TreeCursor {
    let root: Descriptor
    private var names: [[UInt8]] = []
    private var directories: [Descriptor] = []
    private var current: ArraySlice<UInt8> = []

    init(root: Descriptor) { self.root = root }

    /// The directory that holds the last name of a path.
    mutating func parent(of path: PathBytes) throws(Errno) -> Descriptor { try directory(at: path.parent) }

    /// The directory at a path; the root for none.
    mutating func directory(at path: ArraySlice<UInt8>) throws(Errno) -> Descriptor {
        if path == current { return directories.last ?? root }
        let parts = path.isEmpty ? [] : PathBytes(path).components
        var shared = 0
        while shared < min(parts.count, names.count), parts[shared].elementsEqual(names[shared]) { shared += 1 }
        names.removeSubrange(shared...)
        directories.removeSubrange(shared...)
        current = names.isEmpty ? [] : Array(names.joined(separator: [UInt8(ascii: "/")]))[...]
        for part in parts[shared...] {
            let next = try (directories.last ?? root).openDirectory(part)
            names.append(Array(part))
            directories.append(next)
        }
        current = path
        return directories.last ?? root
    }
}
