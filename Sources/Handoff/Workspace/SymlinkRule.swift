/// Which symbolic links may stand in a workspace.
///
/// A relative link must stay inside of the workspace, whatever exists there. An absolute one must stay below
/// "/sandbox/", which is where the agent sees its workspace; it is carried as text and means nothing on the host. All
/// others are refused, when scanning and when restoring: neither ever follows a link, but a person or program that
/// looks at a restored folder on the host might, and would read or write the host's files.
///
/// The path is walked by name. A name that is itself a link leads somewhere the walk does not know, so a ".." behind it
/// is refused; without one, each link on the way is judged by its own entry. What does not exist cannot be walked
/// through, and is judged by the count of its names.
enum SymlinkRule {
    static let sandboxRoot = Array("/sandbox".utf8)

    static func check(_ entry: WorkspaceEntry, in manifest: Manifest) throws(WorkspaceError) {
        guard let target = entry.target else { throw .corrupt("link \"\(entry.path)\" has no target") }
        var place: [ArraySlice<UInt8>]
        var rest: ArraySlice<UInt8>
        if target.bytes.first == UInt8(ascii: "/") {
            guard target.bytes.starts(with: sandboxRoot),
                target.bytes.count == sandboxRoot.count || target.bytes[sandboxRoot.count] == UInt8(ascii: "/")
            else { throw .escapes(entry.path, target: target) }
            place = []
            rest = target.bytes[sandboxRoot.count...]
        } else {
            place = PathBytes(entry.path.parent).bytes.isEmpty ? [] : PathBytes(entry.path.parent).components
            rest = target.bytes[...]
        }
        var passedLink = false
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            let name = rest[..<end]
            rest = end < rest.endIndex ? rest[(end + 1)...] : []
            if name.isEmpty || name.elementsEqual(".".utf8) { continue }
            if name.elementsEqual("..".utf8) {
                guard !passedLink, place.popLast() != nil else { throw .escapes(entry.path, target: target) }
            } else {
                place.append(name)
                if !passedLink {
                    let path = Array(place.joined(separator: [UInt8(ascii: "/")]))
                    passedLink = manifest.entry(at: path[...])?.kind == .symlink
                }
            }
        }
    }
}
