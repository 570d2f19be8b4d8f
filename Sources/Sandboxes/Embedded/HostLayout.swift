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
        for (_, path) in try dependencies(of: karsExecutable).libraries
        where !isSystem(path) && !layout.libraries.contains(path) {
            layout.libraries.append(path)
        }
        return layout
    }

    /// What an executable needs to run.
    struct Dependencies: Equatable {
        /// The program that loads it; nil for one that needs none.
        var loader: String?
        /// By the name it asks for.
        var libraries: [String: String] = [:]

        /// Lines such as `libssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f…)` and, of the loader,
        /// `/lib64/ld-linux-x86-64.so.2 (0x00007f…)`.
        init(parsing output: String) {
            for line in output.split(separator: "\n") {
                let words = line.split(whereSeparator: \.isWhitespace)
                if words.count == 4, words[1] == "=>", words[2].hasPrefix("/") {
                    libraries[String(words[0])] = String(words[2])
                } else if words.count == 2, words[0].hasPrefix("/"), words[1].hasPrefix("(0x") {
                    loader = String(words[0])
                }
            }
        }
    }

    /// Asks the dynamic linker, as `ldd` does.
    static func dependencies(of executable: String) throws(SandboxError) -> Dependencies {
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
        return Dependencies(parsing: output)
    }

    /// Whether a path lies in a folder that every sandbox sees.
    private static func isSystem(_ path: String) -> Bool {
        ["/usr/", "/lib/", "/lib32/", "/lib64/", "/libx32/"].contains { path.hasPrefix($0) }
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
