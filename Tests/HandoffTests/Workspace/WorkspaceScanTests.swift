import Glibc
import Testing

@testable import Handoff

@Suite struct WorkspaceScanTests {
    /// Edits a tree at random, as an agent would.
    struct Editor {
        let root: String
        var random: Seeded
        var counter = 0

        init(root: String, seed: UInt64) {
            self.root = root
            random = Seeded(seed)
        }

        mutating func edit() throws {
            let folder = try Descriptor.folder(root)
            let entries = try folder.names(limit: 10_000).map { String(decoding: $0, as: UTF8.self) }.sorted()
            let name = entries.randomElement(using: &random) ?? "none"
            let path = root + "/" + name
            counter += 1
            let fresh = root + "/" + ["f", "g", "h"].randomElement(using: &random)! + "\(counter)"
            let kind = (try? folder.status(of: Array(name.utf8)[...]).st_mode) ?? 0
            let isFile = kind & S_IFMT == S_IFREG
            switch Int.random(in: 0..<13, using: &random) {
            case 0, 1: put(random.bytes(Int.random(in: 0..<200_000, using: &random)), to: fresh)
            case 2 where isFile: unlink(path)
            case 3 where isFile: rename(path, fresh)
            case 4 where isFile: patch(path)
            case 5 where isFile: append(path)
            case 6 where isFile: chmod(path, [0o400, 0o644, 0o700].randomElement(using: &random)!)
            case 7 where isFile: link(path, fresh)
            case 8: symlink(["nowhere", "f1", "dir/inner"].randomElement(using: &random)!, fresh)
            case 9:
                mkdir(fresh, 0o755)
                put(random.bytes(10), to: fresh + "/inner")
            case 10 where kind & S_IFMT == S_IFDIR:
                unlink(path + "/inner")
                rmdir(path)
                put("now a file", to: path)
            case 11 where isFile: truncate(path, off_t.random(in: 0..<100_000, using: &random))
            case 12: setTime(path, Int.random(in: 0..<2_000_000_000, using: &random), 5)
            default: break
            }
        }

        /// Changes a byte and puts the modification time back.
        private mutating func patch(_ path: String) {
            var status = stat()
            stat(path, &status)
            guard status.st_size > 0 else { return }
            chmod(path, 0o600)
            let file = open(path, O_RDWR)
            pwrite(file, [UInt8(truncatingIfNeeded: random.next())], 1, Int.random(in: 0..<status.st_size, using: &random))
            close(file)
            chmod(path, status.st_mode & 0o777)
            setTime(path, status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
        }

        private mutating func append(_ path: String) {
            chmod(path, 0o600)
            let file = open(path, O_WRONLY | O_APPEND)
            let bytes = random.bytes(Int.random(in: 1..<50_000, using: &random))
            _ = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress!, $0.count) }
            close(file)
        }
    }

    @Test(arguments: 1...4)
    func anIncrementalScanAndUpdateEqualFreshOnes(_ seed: Int) throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        let copy = tree.folder("copy")
        let store = try tree.store()
        let scanner = WorkspaceScanner(root: root)
        let restorer = WorkspaceRestorer()
        var editor = Editor(root: root, seed: UInt64(seed))
        for _ in 0..<40 { try editor.edit() }
        var (manifest, state) = try scanner.scan(mode: .live)
        try move(manifest, state, from: root, to: store)
        try restorer.restore(manifest, from: store, into: copy)
        var copyState = try restorer.verify(manifest.root, of: copy)
        for round in 0..<9 {
            for _ in 0..<Int.random(in: 0..<12, using: &editor.random) { try editor.edit() }
            let mode: WorkspaceScanner.Mode = round % 3 == 2 ? .frozen : .live
            let next = try scanner.scan(previous: state, mode: mode)
            let fresh = try scanner.scan(mode: .frozen)
            #expect(next.manifest == fresh.manifest)
            try naiveCheck(next.manifest, root)
            state = next.state
            try move(next.manifest, state, from: root, to: store)
            try restorer.update(copy, from: manifest, to: next.manifest, from: store)
            copyState = try restorer.verify(next.manifest.root, of: copy, previous: copyState)
            try restorer.verify(next.manifest.root, of: copy)
            manifest = next.manifest
        }
    }

    /// Reads every file whole, without the scanner, and compares content and size.
    private func naiveCheck(_ manifest: Manifest, _ root: String) throws {
        let folder = try Descriptor.folder(root)
        for entry in manifest.entries where entry.kind == .file {
            var directory = folder
            if !entry.path.parent.isEmpty { directory = try folder.openDirectory(entry.path.parent) }
            var rest = try directory.open(entry.path.name, O_RDONLY).bytes(at: 0, count: 10 << 20)[...]
            #expect(rest.count == Int(entry.size))
            for id in entry.chunks {
                let length = rest.withUnsafeBytes { Chunker.cut($0) }
                #expect(ChunkID(of: Array(rest.prefix(length))) == id)
                rest = rest.dropFirst(length)
            }
            #expect(rest.isEmpty)
        }
    }

    @Test func aChangeInTheSameInstantAsTheScanIsNoticed() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        let scanner = WorkspaceScanner(root: root)
        for round in 0..<40 {
            put("before \(round)", to: root + "/file")
            setTime(root + "/file", 1_000, 0)
            let (_, state) = try scanner.scan(mode: .live)
            put("after! \(round)", to: root + "/file")
            setTime(root + "/file", 1_000, 0)
            let (manifest, _) = try scanner.scan(previous: state, mode: .frozen)
            #expect(manifest.entries[0].chunks == [ChunkID(of: Array("after! \(round)".utf8))])
        }
    }

    @Test(arguments: [
        (Timestamp(seconds: 9, nanoseconds: 1), false), (Timestamp(seconds: 8, nanoseconds: 999_999_999), false),
        (Timestamp(seconds: 8, nanoseconds: 980_000_001), false), (Timestamp(seconds: 8, nanoseconds: 979_999_999), true),
        (Timestamp(seconds: 7, nanoseconds: 0), false), (Timestamp(seconds: 6, nanoseconds: 0), true),
        (Timestamp(seconds: 10, nanoseconds: 5), false), (Timestamp(seconds: .min, nanoseconds: 5), false),
        (Timestamp(seconds: .max, nanoseconds: 5), false),
    ])
    func onlyAStampThatCannotRecurIsTrusted(_ stamp: Timestamp, _ isTrusted: Bool) {
        #expect(stamp.isSurelyBefore(Timestamp(seconds: 9, nanoseconds: 0)) == isTrusted)
    }

    /// A page of a mapping that is dirty already takes another write without a new time stamp.
    @Test func aWriteThroughAMappingIsNoticed() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        put([UInt8](repeating: 1, count: 4096), to: root + "/mapped")
        let file = open(root + "/mapped", O_RDWR)
        let memory = try #require(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0))
        defer {
            munmap(memory, 4096)
            close(file)
        }
        memory.storeBytes(of: 2, as: UInt8.self)
        let scanner = WorkspaceScanner(root: root)
        let state = try settled(scanner)
        memory.storeBytes(of: 3, as: UInt8.self)
        let (manifest, _) = try scanner.scan(previous: state, mode: .frozen)
        #expect(manifest.entries[0].chunks == [ChunkID(of: [3] + [UInt8](repeating: 1, count: 4095))])
    }

    @Test func anUnchangedTreeIsNotReadAgain() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        var random = Seeded(1)
        for index in 0..<20 { put(random.bytes(10_000), to: root + "/\(index)") }
        let scanner = WorkspaceScanner(root: root)
        let state = try settled(scanner)
        #expect(try scanner.scan(previous: state, mode: .live).state.hashedBytes == 0)
        put("changed", to: root + "/7")
        #expect(try scanner.scan(previous: state, mode: .live).state.hashedBytes == 7)
    }

    /// Scans until every file is older than the scan by enough, as the copying rounds of a move do.
    private func settled(_ scanner: WorkspaceScanner) throws -> ScanState {
        var state: ScanState?
        for _ in 0..<1_000_000 {
            let next = try scanner.scan(previous: state, mode: .live).state
            if next.files.values.allSatisfy(\.isSettled) { return next }
            state = next
        }
        throw Errno(ETIMEDOUT)
    }

    @Test func anInsertionMovesLittle() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        var random = Seeded(2)
        var content = random.bytes(8 << 20)
        put(content, to: root + "/file")
        let before = try WorkspaceScanner(root: root).scan(mode: .frozen).manifest
        for place in [0, 4 << 20, content.count] {
            content.insert(42, at: place)
            put(content, to: root + "/file")
            let after = try WorkspaceScanner(root: root).scan(mode: .frozen).manifest
            let new = after.chunkIDs.subtracting(before.chunkIDs)
            #expect(new.count <= 9)
        }
        let lengths = try WorkspaceScanner(root: root).scan(mode: .frozen).state.files.values.flatMap(\.lengths)
        #expect(lengths.dropLast().allSatisfy { $0 >= Chunker.minimumSize && $0 <= Chunker.maximumSize })
        #expect((40 << 10..<100 << 10).contains(content.count / lengths.count))
    }

    @Test func cutsDoNotDependOnHowTheFileWasRead() throws {
        // Over three buffers of the reader, so that cuts fall across their edges.
        var random = Seeded(9)
        let content = random.bytes((3 << 20) + 12_345)
        let tree = try TestTree()
        let root = tree.folder("tree")
        put(content, to: root + "/file")
        let entry = try WorkspaceScanner(root: root).scan(mode: .frozen).manifest.entries[0]
        var ids: [ChunkID] = []
        var rest = content[...]
        while !rest.isEmpty {
            let length = rest.withUnsafeBytes { Chunker.cut($0) }
            ids.append(ChunkID(of: Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
        #expect(entry.chunks == ids)
    }

    @Test func aFrozenScanFailsWhenTheTreeMoves() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        put("content", to: root + "/file")
        let folder = try Descriptor.folder(root)
        let key = FileKey(try folder.status(of: Array("file".utf8)[...]))
        unlink(root + "/file")
        var frozen = FileHasher(root: folder, mode: .frozen, limits: WorkspaceLimits())
        #expect(throws: WorkspaceError.changedDuringRead(PathBytes("file"))) { try frozen.hash(PathBytes("file"), key) }
        var live = FileHasher(root: folder, mode: .live, limits: WorkspaceLimits())
        #expect(try live.hash(PathBytes("file"), key) == nil)
        mkfifo(root + "/file", 0o600)
        #expect(try live.hash(PathBytes("file"), key) == nil)
        unlink(root + "/file")
        symlink("../canary/file", root + "/file")
        #expect(try live.hash(PathBytes("file"), key) == nil)
    }

    @Test func aLiveScanSurvivesATreeThatMoves() async throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        async let editing: Void = Task.detached {
            var editor = Editor(root: root, seed: 99)
            for _ in 0..<1500 { try editor.edit() }
        }.value
        for _ in 0..<30 { try WorkspaceScanner(root: root).scan(mode: .live).manifest.validate() }
        try await editing
        let (manifest, state) = try WorkspaceScanner(root: root).scan(mode: .frozen)
        #expect(manifest.totalBytes > 0)
        #expect(state.hashedBytes <= manifest.totalBytes)
    }
}
