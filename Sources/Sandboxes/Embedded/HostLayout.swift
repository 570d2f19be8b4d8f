import Glibc
import Storage

/// What of the host's system folders a sandbox is given, read once.
struct HostLayout: Equatable, Sendable {
    /// `/bin` and the like where they are links into `/usr`: path and target.
    var links: [(path: String, target: String)] = []
    /// The same where they are real folders.
    var folders: [String] = []
    /// Files and folders below `/etc` that programs need and that hold no secret.
    var settings: [String] = []
    /// Libraries the kars executable needs that lie elsewhere, such as a Swift runtime.
    var libraries: [String] = []

    static func == (left: HostLayout, right: HostLayout) -> Bool {
        left.links.elementsEqual(right.links, by: ==) && left.folders == right.folders
            && left.settings == right.settings && left.libraries == right.libraries
    }

    /// Looks at this host.
    static func read(karsExecutable: String) throws(SandboxError) -> HostLayout {
        var layout = HostLayout()
        for path in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
            var target = [UInt8](repeating: 0, count: 256)
            let count = target.withUnsafeMutableBytes {
                readlink(path, $0.assumingMemoryBound(to: CChar.self).baseAddress!, $0.count)
            }
            if count > 0 {
                layout.links.append((path, String(decoding: target[..<count], as: UTF8.self)))
            } else if access(path, F_OK) == 0 {
                layout.folders.append(path)
            }
        }
        layout.settings = ["/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/certs", "/etc/localtime"]
            .filter { access($0, R_OK) == 0 }
        layout.libraries = try libraries(of: karsExecutable)
        return layout
    }

    /// Asks the dynamic linker, as `ldd` does.
    private static func libraries(of executable: String) throws(SandboxError) -> [String] {
        let pipe = try LinuxCalls.makePipe()
        defer { close(pipe.read) }
        // A statically linked executable ignores the variable and answers `--version`: no libraries.
        let started = Result { () throws(SandboxError) in
            try Spawn.start(
                [executable, "--version"], environment: ["LD_TRACE_LOADED_OBJECTS": "1"],
                descriptors: [pipe.write, pipe.write, STDERR_FILENO])
        }
        close(pipe.write)
        let pid = try started.get()
        let output = readText(pipe.read) { _ in false }
        _ = Spawn.reap(pid)
        return libraries(parsing: output)
    }

    /// Lines such as `libswiftCore.so => /opt/swift/usr/lib/libswiftCore.so (0x00007f…)`.
    static func libraries(parsing output: String) -> [String] {
        var found: [String] = []
        for line in output.split(separator: "\n") {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard words.count == 4, words[1] == "=>", words[2].hasPrefix("/") else { continue }
            let path = String(words[2])
            let isSystem = ["/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/"].contains { path.hasPrefix($0) }
            if !isSystem && !found.contains(path) { found.append(path) }
        }
        return found
    }
}

/// What a pipe delivers up to its end, or until `isWhole`; at most 1 MiB.
func readText(_ descriptor: Int32, until isWhole: ([UInt8]) -> Bool) -> String {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while bytes.count < 1 << 20 && !isWhole(bytes) {
        let count = read(descriptor, &chunk, chunk.count)
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { break }
        bytes += chunk[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}
