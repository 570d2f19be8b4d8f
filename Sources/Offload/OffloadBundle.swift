import FoundationEssentials
import Glibc
import Handoff
import MeshNode
import Sandboxes

/// The files of an offload, in either direction: a manifest whose root binds all of them, and chunks named by their hash.
enum OffloadBundle {
    /// Ids one after the other, as they travel.
    static func joined(_ ids: some Sequence<ChunkID>) -> WireBytes {
        var bytes: [UInt8] = []
        for id in ids { bytes += id.bytes }
        return WireBytes(bytes)
    }

    /// - Throws: for what no peer sends.
    static func ids(_ bytes: WireBytes) throws -> [ChunkID] {
        let bytes = bytes.bytes
        guard bytes.count % ChunkID.byteCount == 0, bytes.count <= OffloadLimits.listedChunks * ChunkID.byteCount else {
            throw OperationFailure(.invalid, "a list of chunks makes no sense")
        }
        return stride(from: 0, to: bytes.count, by: ChunkID.byteCount).compactMap {
            ChunkID(bytes: bytes[$0..<$0 + ChunkID.byteCount])
        }
    }

    /// Copies files and folders of this machine below one folder, each under its last name.
    ///
    /// Blocks on the disk.
    static func gather(_ paths: [String], into folder: String, _ limits: OffloadLimits) async throws {
        var bytes = 0
        for path in paths {
            guard let real = realpath(path, nil) else {
                throw OperationFailure(.invalid, "\(path): \(String(cString: strerror(errno)).lowercased())")
            }
            defer { free(real) }
            let source = String(cString: real)
            let name = String(path[(path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex)...])
            guard !name.isEmpty, name != ".", name != ".." else {
                throw OperationFailure(.invalid, "\(path) has no name of its own to go by")
            }
            let target = folder + "/" + name
            guard access(target, F_OK) != 0 else {
                throw OperationFailure(.invalid, "two of the files are called \(name)")
            }
            var facts = stat()
            guard stat(source, &facts) == 0 else {
                throw OperationFailure(.invalid, "\(path): \(String(cString: strerror(errno)).lowercased())")
            }
            switch facts.st_mode & S_IFMT {
            case S_IFREG: bytes += Int(facts.st_size)
            case S_IFDIR: bytes += try await size(of: source, limits)
            default: throw OperationFailure(.invalid, "\(path) is neither a file nor a folder")
            }
            guard bytes <= limits.bytes else {
                throw OperationFailure(.invalid, "the files are more than \(limits.bytes) bytes")
            }
            if facts.st_mode & S_IFMT == S_IFDIR {
                try await WorkspaceCopy.copy(from: source, to: target)
            } else {
                try await DiskWork.run { try FileManager.default.copyItem(atPath: source, toPath: target) }
            }
        }
    }

    private static func size(of folder: String, _ limits: OffloadLimits) async throws -> Int {
        try await DiskWork.run {
            do {
                return Int(
                    try WorkspaceScanner(root: folder, limits: limits.workspace).scan(mode: .live).manifest.totalBytes)
            } catch { throw OperationFailure(.invalid, "\(folder) cannot go along: \(error)") }
        }
    }

    /// Looks at a folder whose content nobody changes meanwhile; one that is not there holds nothing.
    static func scan(_ folder: String, _ limits: OffloadLimits) throws -> (manifest: Manifest, state: ScanState?) {
        var facts = stat()
        if lstat(folder, &facts) != 0, errno == ENOENT { return (Manifest(entries: []), nil) }
        let (manifest, state) = try WorkspaceScanner(root: folder, limits: limits.workspace).scan(mode: .frozen)
        guard manifest.encoded().count <= OffloadLimits.maximumManifestBytes else {
            throw OperationFailure(
                .refused, "the list of the files is more than \(OffloadLimits.maximumManifestBytes) bytes",
                hint: "pack them into one file")
        }
        return (manifest, state)
    }

    /// Builds the files in a new folder and proves what came to the disk.
    static func restore(
        _ manifest: Manifest, from store: ChunkStore, into folder: String, _ limits: OffloadLimits
    ) throws(WorkspaceError) {
        let restorer = WorkspaceRestorer(limits: limits.workspace)
        try restorer.restore(manifest, from: store, into: folder)
        try restorer.verify(manifest.root, of: folder)
    }

    /// Files of an encoded manifest as commands show them; none of one that makes no sense.
    static func shown(_ encoded: WireBytes) -> [OffloadProgress.File] {
        guard let manifest = try? Manifest(encoded: encoded.bytes) else { return [] }
        return manifest.entries.filter { $0.kind == .file }.map {
            OffloadProgress.File(path: $0.path.escaped, bytes: Int($0.size))
        }
    }
}
