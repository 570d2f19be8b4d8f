import FoundationEssentials
import Glibc

/// The files that an image is built from, as the tar archive an engine takes.
struct BuildContext {
    /// Bytes of an archive, which is held in memory.
    static let maximumBytes = 512 << 20
    /// Files and folders of one.
    static let maximumEntries = 100_000
    static let recipe = "Dockerfile"
    private static let ignoreFile = ".dockerignore"
    private static let tar = "/usr/bin/tar"

    let folder: String

    /// Packs the folder but for what its `.dockerignore` leaves out. Links are packed as links. Blocks.
    func archive() throws(SandboxError) -> [UInt8] {
        guard access(folder + "/" + Self.recipe, R_OK) == 0 else {
            throw .invalidSpec(reason: "there is no \(Self.recipe) that can be read in \(folder)")
        }
        let names = try entries()
        let list = try Self.unnamedFile(names.joined(separator: "\0") + "\0")
        defer { close(list) }
        let complaint = try Self.unnamedFile("")
        defer { close(complaint) }
        let pipe = try LinuxCalls.makePipe()
        defer { close(pipe.read) }
        let started = Result { () throws(SandboxError) in
            // As nobody in particular, so that the same files are the same layer for everybody.
            try Spawn.start(
                [
                    Self.tar, "--create", "--file=-", "--directory=\(folder)", "--no-recursion", "--null",
                    "--verbatim-files-from", "--files-from=-", "--owner=0", "--group=0", "--numeric-owner",
                ], environment: ["LANG": "C.UTF-8"], descriptors: [list, pipe.write, complaint])
        }
        close(pipe.write)
        let pid = try started.get()
        let bytes = Self.readAll(pipe.read)
        if bytes == nil { kill(pid, SIGKILL) }
        let status = Spawn.reap(pid)
        guard let bytes else {
            throw .invalidSpec(
                reason: "\(folder) holds more than \(Self.maximumBytes >> 20) MiB; a .dockerignore leaves out what the "
                    + "image does not need")
        }
        guard status == 0 else {
            lseek(complaint, 0, SEEK_SET)
            let said = readText(complaint) { _ in false }.split(separator: "\n").first.map(String.init)
            throw .system(what: folder, reason: said ?? "tar ended with \(status.map(String.init) ?? "nothing")")
        }
        return bytes
    }

    /// All that belongs to the build, folders before what is in them.
    func entries() throws(SandboxError) -> [String] {
        let text = (try? Data(contentsOf: URL(filePath: folder + "/" + Self.ignoreFile))) ?? Data()
        let rules = IgnoreRules(parsing: String(decoding: text.prefix(1 << 20), as: UTF8.self))
        var found: [String] = []
        var waiting: [[String]] = [[]]
        while let place = waiting.popLast() {
            let path = ([folder] + place).joined(separator: "/")
            let names: [String]
            do { names = try FileManager.default.contentsOfDirectory(atPath: path).sorted() } catch {
                throw .system(what: path, reason: "cannot be read")
            }
            for name in names {
                let inner = place + [name]
                var facts = stat()
                guard lstat(path + "/" + name, &facts) == 0 else { continue }
                let isFolder = facts.st_mode & S_IFMT == S_IFDIR
                // The engine needs both, whatever the rules say.
                let isIgnored = rules.ignores(inner) && ![[Self.recipe], [Self.ignoreFile]].contains(inner)
                if isFolder, !isIgnored || rules.canBringBack { waiting.append(inner) }
                if isIgnored { continue }
                // Sockets cannot be packed, and nothing is built from what a pipe would bring.
                guard [S_IFDIR, S_IFREG, S_IFLNK].contains(facts.st_mode & S_IFMT) else { continue }
                found.append(inner.joined(separator: "/"))
                guard found.count <= Self.maximumEntries else {
                    throw .invalidSpec(
                        reason: "\(folder) holds more than \(Self.maximumEntries) files; a .dockerignore leaves out what "
                            + "the image does not need")
                }
            }
        }
        return found
    }

    /// - Returns: nil above the bound.
    private static func readAll(_ descriptor: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return bytes }
            guard bytes.count + count <= maximumBytes else { return nil }
            bytes += chunk[..<count]
        }
    }

    /// A file that holds a text, at its beginning.
    private static func unnamedFile(_ text: String) throws(SandboxError) -> Int32 {
        let file = try LinuxCalls.makeUnnamedFile()
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            guard count > 0 else {
                close(file)
                throw .lastFailure("a temporary file")
            }
            rest = rest.dropFirst(count)
        }
        lseek(file, 0, SEEK_SET)
        return file
    }
}
