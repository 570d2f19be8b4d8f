import Glibc

/// Whose files a restored workspace has.
struct FileOwner: Equatable {
    let user: UInt32
    let group: UInt32

    /// The owner of a folder where that is not this process's user already.
    ///
    /// A container's agent has a number of its own, and only the host's root can give files away.
    init?(of folder: Descriptor) throws(Errno) {
        let facts = try folder.status()
        guard geteuid() == 0, facts.st_uid != 0 || facts.st_gid != getegid() else { return nil }
        user = facts.st_uid
        group = facts.st_gid
    }
}
