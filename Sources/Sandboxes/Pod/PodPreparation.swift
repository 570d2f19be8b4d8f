import FoundationEssentials
import Glibc

/// What a pod needs before its containers start (`kars sandbox-init --prepare-pod NAME [-- COMMAND…]`, as root): the
/// folders they mount parts of, owned by those who use them, and kars itself for the agent's container. Then it becomes
/// COMMAND.
///
/// Doing it again, as when a pod's containers are made anew, changes nothing.
enum PodPreparation {
    private static let user: uid_t = 1000
    private static let agentGroup: gid_t = 1000
    private static let nodeGroup: gid_t = 1001

    static func run(sandbox: String, command: [String]) -> Never {
        do {
            let sandboxFolder = "/data/node/sandboxes/\(sandbox)"
            try make("/data", 0o700, nodeGroup)
            for path in ["/data/node", "/data/node/sandboxes", sandboxFolder] { try make(path, 0o700, nodeGroup) }
            for path in [sandboxFolder + "/workspace", sandboxFolder + "/run", "/mnt/run/agent", "/mnt/secrets/agent"] {
                try make(path, 0o700, agentGroup)
            }
            // The agent's container sees these read-only.
            try make("/data/hold", 0o755, nodeGroup)
            try make("/mnt/link", 0o755, nodeGroup)
            try copyRuntime(to: "/mnt/runtime")
        } catch { fail("\(error)") }
        guard !command.isEmpty else { exit(0) }
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        execv(command[0], &arguments)
        fail("cannot run \(command[0]): \(String(cString: strerror(errno)))")
    }

    private static func fail(_ text: String) -> Never {
        var line = "sandbox-init: \(text)\n"
        line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
        exit(1)
    }

    private static func make(_ path: String, _ mode: mode_t, _ group: gid_t) throws(SandboxError) {
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw .lastFailure(path) }
        var facts = stat()
        guard lstat(path, &facts) == 0 else { throw .lastFailure(path) }
        guard facts.st_mode & S_IFMT == S_IFDIR else { throw .system(what: path, reason: "not a folder") }
        if facts.st_uid != user || facts.st_gid != group, lchown(path, user, group) != 0 { throw .lastFailure(path) }
        if facts.st_mode & 0o7777 != mode, chmod(path, mode) != 0 { throw .lastFailure(path) }
    }

    /// Its image holds kars with its libraries and their loader where a sandbox has them.
    private static func copyRuntime(to target: String) throws(SandboxError) {
        for part in ["bin", "lib"] {
            let path = "\(target)/\(part)"
            guard access(path, F_OK) != 0 else { continue }
            do {
                try? FileManager.default.removeItem(atPath: path + ".part")
                try FileManager.default.copyItem(atPath: "/opt/kars/\(part)", toPath: path + ".part")
            } catch { throw .system(what: path, reason: "\(error)") }
            guard rename(path + ".part", path) == 0 else { throw .lastFailure(path) }
        }
    }
}
