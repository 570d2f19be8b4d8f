import Glibc
import Storage

/// The credentials of one sandbox on the host: files in memory (tmpfs), never on a disk. The folder is mounted
/// read-only at ``SandboxLayout/credentials``, so what is changed here is seen inside at once.
struct CredentialFolder: Sendable {
    private static let memory = "/dev/shm"
    /// Most files of a sandbox, and the largest of them.
    static let maximumCount = 64
    static let maximumBytes = 64 << 10

    /// Holds the folders of all sandboxes of a node; nil where the folder was made for one sandbox and is mounted, so
    /// that it stays.
    private let base: String?
    let path: String
    /// Who the agent is on the host; nil for this process's user.
    private let owner: SandboxOwner?

    /// - Parameter tag: tells the nodes of one user apart.
    init(sandbox name: String, tag: String, owner: SandboxOwner? = nil) {
        self.owner = owner
        let base = "\(Self.memory)/kars-\(geteuid())-\(tag)"
        self.base = base
        path = "\(base)/\(name)"
    }

    /// A folder in memory that is mounted already.
    init(mounted path: String) {
        base = nil
        owner = nil
        self.path = path
    }

    /// Makes the folder unless it is there; a restart of the host takes it away.
    func make() throws(SandboxError) {
        guard let base else { return }
        for folder in [base, path] {
            guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw .lastFailure(folder) }
            // Anybody may make a name in the shared folder: only one of this user's own is used.
            var facts = stat()
            guard lstat(folder, &facts) == 0 else { throw .lastFailure(folder) }
            let isOurs = facts.st_uid == geteuid() || (folder == path && facts.st_uid == owner?.user)
            guard facts.st_mode & S_IFMT == S_IFDIR, isOurs, facts.st_mode & 0o077 == 0 else {
                throw .system(what: folder, reason: "belongs to somebody else")
            }
        }
        try owner?.own(path)
    }

    /// Puts these files in place of what is there, each at once.
    ///
    /// - Parameter files: name, as of a variable, and content.
    func replace(with files: [String: [UInt8]]) throws(SandboxError) {
        guard files.count <= Self.maximumCount, files.values.allSatisfy({ $0.count <= Self.maximumBytes }),
            files.keys.allSatisfy(SandboxSpec.isVariable)
        else { throw .invalidSpec(reason: "credentials are too many, too large or badly named") }
        try make()
        for name in try names() where files[name] == nil {
            guard unlink("\(path)/\(name)") == 0 || errno == ENOENT else { throw .lastFailure("\(path)/\(name)") }
        }
        for (name, bytes) in files {
            do { try AtomicFile.write(bytes, to: "\(path)/\(name)", mode: 0o400) } catch {
                throw .system(what: "\(path)/\(name)", reason: "\(error)")
            }
            try owner?.own("\(path)/\(name)")
        }
    }

    func remove() throws(SandboxError) {
        guard let base else { return try emptyFolder(path) }
        try removeTree(path)
        // Goes with the last of them.
        rmdir(base)
    }

    private func names() throws(SandboxError) -> [String] {
        guard let folder = opendir(path) else { throw .lastFailure(path) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}
