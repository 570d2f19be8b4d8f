import Glibc

/// Whose files a sandbox's are on the host.
public struct SandboxOwner: Sendable, Equatable {
    public let user: UInt32
    public let group: UInt32

    /// Gives a file or folder to the owner; nothing is followed, and nothing done where it is theirs already.
    public func own(_ path: String) throws(SandboxError) {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { throw .lastFailure(path) }
        guard facts.st_uid != user || facts.st_gid != group else { return }
        guard lchown(path, user, group) == 0 else { throw .lastFailure(path) }
    }
}
