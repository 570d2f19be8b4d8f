import FoundationEssentials
import Glibc
import Storage

/// The kars program with the libraries it needs and their loader, in a folder that is mounted into every container: it
/// runs in any image, whatever that holds.
struct DockerRuntime: Sendable {
    /// Where it lies inside.
    static let place = "/opt/kars"
    static let loader = place + "/lib/loader"
    /// The words that run kars inside.
    static let program = [loader, "--library-path", place + "/lib", SandboxLayout.kars]

    /// On the host.
    let folder: String

    /// Makes the folder below `root`, or finds it. Blocks.
    static func make(root: String, karsExecutable: String) throws(SandboxError) -> DockerRuntime {
        let parts = try parts(of: karsExecutable)
        let folder = "\(root)/.runtime/\(try fingerprint(parts))"
        guard access(folder, F_OK) != 0 else { return DockerRuntime(folder: folder) }
        let temporary = "\(folder).\(getpid()).tmp"
        do {
            try? FileManager.default.removeItem(atPath: temporary)
            try FileManager.default.createDirectory(atPath: temporary + "/lib", withIntermediateDirectories: true)
            try FileManager.default.createDirectory(atPath: temporary + "/bin", withIntermediateDirectories: true)
            for (source, name) in parts {
                let target = "\(temporary)/\(name)"
                try FileManager.default.copyItem(atPath: source, toPath: target)
                guard chmod(target, 0o755) == 0 else { throw SandboxError.lastFailure(target) }
            }
            for path in ["", "/lib", "/bin"] where chmod(temporary + path, 0o755) != 0 {
                throw SandboxError.lastFailure(temporary + path)
            }
        } catch { throw .system(what: temporary, reason: "\(error)") }
        guard rename(temporary, folder) == 0 || access(folder, F_OK) == 0 else { throw .lastFailure(folder) }
        return DockerRuntime(folder: folder)
    }

    /// Removes the folders of other builds beside this one. Blocks for a moment.
    func removeOthers() {
        let (place, own) = (URL(filePath: folder).deletingLastPathComponent().path, URL(filePath: folder).lastPathComponent)
        for name in (try? FileManager.default.contentsOfDirectory(atPath: place)) ?? [] where name != own {
            try? FileManager.default.removeItem(atPath: "\(place)/\(name)")
        }
    }

    /// What is copied, and as what.
    private static func parts(of executable: String) throws(SandboxError) -> [(source: String, name: String)] {
        let found = try HostLayout.dependencies(of: executable)
        guard let loader = found.loader else {
            throw .unavailable(reason: "\(executable) names no loader; ldd shows what it needs")
        }
        var parts = [(executable, "bin/kars"), (loader, "lib/loader")]
        for (name, path) in found.libraries { parts.append((path, "lib/\(name)")) }
        return parts.map { (realPath($0.0), $0.1) }
    }

    private static func realPath(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Changes with every part's place, size and time: FNV-1a.
    private static func fingerprint(_ parts: [(source: String, name: String)]) throws(SandboxError) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for (source, name) in parts {
            var facts = stat()
            guard stat(source, &facts) == 0 else { throw .lastFailure(source) }
            let text = "\(source) \(name) \(facts.st_size) \(facts.st_mtim.tv_sec).\(facts.st_mtim.tv_nsec)\n"
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        return String(hash, radix: 16)
    }
}
