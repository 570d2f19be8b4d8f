import FoundationEssentials
import Glibc
import Storage

// What every start of a sandbox needs of its folders.
extension SandboxFolders {
    /// Brings them to the state before a start.
    ///
    /// - Parameter owner: who the agent is on the host; nil for this process's user.
    func prepare(
        for spec: SandboxSpec, credentials: CredentialFolder, owner: SandboxOwner? = nil
    ) throws(SandboxError) {
        try credentials.make()
        // The agent of an earlier run may have put anything there. The folder itself stays: it may be mounted.
        try emptyFolder(run)
        for path in [record, status, container] where unlink(path) != 0 && errno != ENOENT {
            throw .lastFailure(path)
        }
        do {
            for folder in [run, logs, etc] { try AtomicFile.makeFolder(folder) }
            for (name, text) in SandboxLayout.settings(for: spec, owner: owner ?? SandboxLayout.agent) {
                try AtomicFile.write(Array(text.utf8), to: etc + "/" + name, mode: 0o644)
            }
        } catch { throw .system(what: root, reason: "\(error)") }
        if let owner { for folder in [run, workspace] { try owner.own(folder) } }
    }

    /// Opens the gateway's socket.
    func openSocket() throws(SandboxError) -> Int32 { try Self.openSocket(socket) }

    /// Opens a socket itself, never what a link at its path leads to.
    static func openSocket(_ socket: String) throws(SandboxError) -> Int32 {
        let file = open(socket, LinuxCalls.openPathOnly | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 else { throw .lastFailure(socket) }
        var facts = stat()
        guard fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFSOCK else {
            close(file)
            throw .system(what: socket, reason: "not a socket")
        }
        return file
    }

    static func openLog(_ path: String, _ flags: Int32) -> Int32 {
        open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0o600)
    }
}

/// Deletes a folder and all in it; links in it are deleted, never followed.
func removeTree(_ path: String) throws(SandboxError) {
    do { try FileManager.default.removeItem(atPath: path) } catch {
        // A dangling link or nothing at all is also an answer.
        guard access(path, F_OK) == 0 else { return }
        throw .system(what: path, reason: "cannot be deleted")
    }
}

/// Deletes all that is in a folder, which may be absent; links in it are deleted, never followed.
func emptyFolder(_ path: String) throws(SandboxError) {
    guard let folder = opendir(path) else {
        guard errno == ENOENT else { throw .lastFailure(path) }
        return
    }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != "." && name != ".." { names.append(name) }
    }
    closedir(folder)
    for name in names { try removeTree("\(path)/\(name)") }
}
