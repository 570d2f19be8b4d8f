import Glibc

/// Why a workspace could not be read, kept or restored.
public enum WorkspaceError: Error, Equatable {
    /// A socket, device or named pipe stands in the workspace.
    case specialFile(PathBytes, kind: String)
    /// A path or link leads out of the workspace.
    case escapes(PathBytes, target: PathBytes?)
    /// A bound of ``WorkspaceLimits`` is exceeded; `what` names it, with its unit.
    case tooLarge(what: String, limit: UInt64)
    /// The file system at `path` has less room than is needed, both in bytes.
    case diskFull(path: String, needed: UInt64, free: UInt64)
    /// A file was written to while it was read; its content cannot be vouched for.
    case changedDuringRead(PathBytes)
    /// A manifest or chunk from elsewhere contradicts itself.
    case corrupt(String)
    /// A chunk is in no place it was looked for.
    case missingChunk(ChunkID)
    /// A folder that must be empty is not.
    case notEmpty(path: String)
    /// The tree is not the one its manifest describes.
    case rootMismatch(expected: ChunkID, found: ChunkID)
    /// The system refused; `errno` says why.
    case file(path: String, errno: Int32)
}

extension WorkspaceError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .specialFile(let path, let kind):
            "workspace holds a \(kind) at \"\(path)\", which cannot be moved"
        case .escapes(let path, let target?):
            "link \"\(path)\" leads out of the workspace to \"\(target)\""
        case .escapes(let path, nil): "path \"\(path)\" leads out of the workspace"
        case .tooLarge(let what, let limit): "workspace exceeds the limit of \(limit) \(what)"
        case .diskFull(let path, let needed, let free):
            "\(path) needs \(needed) bytes and has \(free) free"
        case .changedDuringRead(let path): "file \"\(path)\" changed while it was read"
        case .corrupt(let reason): "workspace data is corrupt: \(reason)"
        case .missingChunk(let id): "chunk \(id) is missing"
        case .notEmpty(let path): "folder \(path) is not empty"
        case .rootMismatch(let expected, let found):
            "workspace root is \(found) instead of \(expected)"
        case .file(let path, let code): "\(path): \(String(cString: strerror(code)).lowercased())"
        }
    }
}
