import Glibc
import MeshNode

/// Fills a new workspace from a folder of this machine, by the same rules as a move: no special files, no links
/// that lead out.
public enum WorkspaceCopy {
    /// - Parameters:
    ///   - source: an absolute path; nothing in it is changed.
    ///   - target: made, for the owner of the folder it is in; must not exist or be empty.
    public static func copy(from source: String, to target: String) async throws {
        try await DiskWork.run {
            do {
                let (manifest, state) = try WorkspaceScanner(root: source).scan(mode: .live)
                guard mkdir(target, 0o700) == 0 || errno == EEXIST else {
                    throw WorkspaceError.file(path: target, errno: errno)
                }
                let parent = try Descriptor.folder(String(target[..<(target.lastIndex(of: "/") ?? target.endIndex)]))
                try Errno.narrowed(at: target) {
                    if let owner = try FileOwner(of: parent) { try Descriptor.folder(target).setOwner(owner) }
                }
                let folder = target + ".chunks"
                let store = try ChunkStore(folder: folder)
                defer { try? MoveFolder.remove(folder) }
                let reader = try ChunkReader(root: source, state: state)
                for id in store.missing(from: manifest) { try store.put(try reader.readChunk(id), expecting: id) }
                try WorkspaceRestorer().restore(manifest, from: store, into: target)
            } catch let error as WorkspaceError {
                throw OperationFailure(.refused, "the workspace \(source) cannot be taken: \(error)")
            }
        }
    }
}
