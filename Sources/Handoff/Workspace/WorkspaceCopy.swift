import Glibc
import MeshNode

/// Fills a new workspace from a folder of this machine, by the same rules as a move: no special files, no links
/// that lead out.
public enum WorkspaceCopy {
    /// - Parameters:
    ///   - source: an absolute path; nothing in it is changed.
    ///   - target: made; must not exist or be empty.
    public static func copy(from source: String, to target: String) async throws {
        try await DiskWork.run {
            do {
                let (manifest, state) = try WorkspaceScanner(root: source).scan(mode: .live)
                guard mkdir(target, 0o700) == 0 || errno == EEXIST else {
                    throw WorkspaceError.file(path: target, errno: errno)
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
