import Glibc
import Testing

@testable import Handoff

@Suite struct WorkspaceChunkTests {
    private func fileName(_ id: ChunkID, _ tree: TestTree) -> String {
        tree.path + "/store/" + id.hex.prefix(2) + "/" + id.hex
    }

    @Test func chunksSurviveReopening() throws {
        let tree = try TestTree()
        let id = try tree.store().put(Array("kept".utf8))
        let again = try tree.store()
        #expect(again.has(id))
        #expect(try again.read(id) == Array("kept".utf8))
        try again.removeAll()
        #expect(!again.has(id))
        #expect(throws: WorkspaceError.missingChunk(id)) { try again.read(id) }
        #expect(try tree.store().has(id) == false)
    }

    @Test(arguments: [[], [1], Array("kepX".utf8), Array("kept and more".utf8), [UInt8](repeating: 0, count: 300_000)])
    func aChunkACrashLeftDamagedIsAskedForAgain(_ damage: [UInt8]) throws {
        let tree = try TestTree()
        let id = try tree.store().put(Array("kept".utf8))
        put(damage, to: fileName(id, tree))
        let draft = tree.path + "/store/" + id.hex.prefix(2) + "/draft-0"
        put("half", to: draft)
        let store = try tree.store()
        let manifest = Manifest(entries: [
            WorkspaceEntry(path: PathBytes("a"), kind: .file, mode: 0o600, size: 4, chunks: [id])
        ])
        #expect(store.missing(from: manifest) == [id])
        try store.put(Array("kept".utf8), expecting: id)
        #expect(store.missing(from: manifest) == [])
        #expect(try store.read(id) == Array("kept".utf8))
        #expect(access(draft, F_OK) != 0)
    }

    @Test func aChunkThatRotsIsNotRestored() throws {
        let tree = try TestTree()
        let store = try tree.store()
        let id = try store.put(Array("kept".utf8))
        put("rots", to: fileName(id, tree))
        let manifest = Manifest(entries: [
            WorkspaceEntry(path: PathBytes("a"), kind: .file, mode: 0o600, size: 4, chunks: [id])
        ])
        let target = tree.folder("target")
        #expect(throws: WorkspaceError.corrupt("chunk \(id) is damaged on the disk")) {
            try WorkspaceRestorer().restore(manifest, from: store, into: target)
        }
        #expect(try isEmpty(target))
    }

    @Test func aStoreRefusesWhatItWasNotAskedToKeep() throws {
        let tree = try TestTree()
        let store = try ChunkStore(folder: tree.path + "/store", maximumBytes: 10)
        #expect(throws: WorkspaceError.self) { try store.put([]) }
        #expect(throws: WorkspaceError.self) { try store.put([1], expecting: ChunkID(of: [2])) }
        #expect(!store.has(ChunkID(of: [1])))
        let large = try TestTree()
        #expect(throws: WorkspaceError.self) {
            try large.store().put([UInt8](repeating: 0, count: Chunker.maximumSize + 1))
        }
        try store.put([UInt8](repeating: 1, count: 8))
        try store.put([UInt8](repeating: 1, count: 8))  // the same again costs nothing
        #expect(throws: WorkspaceError.tooLarge(what: "bytes of chunks", limit: 10)) {
            try store.put([UInt8](repeating: 2, count: 3))
        }
        try store.put([3, 3])
        // The bound counts what an earlier process left.
        let again = try ChunkStore(folder: tree.path + "/store", maximumBytes: 10)
        #expect(throws: WorkspaceError.tooLarge(what: "bytes of chunks", limit: 10)) { try again.put([4]) }
    }

    @Test func threadsMayKeepTheSameChunkAtOnce() async throws {
        let tree = try TestTree()
        let store = try ChunkStore(folder: tree.path + "/store", maximumBytes: 50 * 1000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for value in 0..<50 {
                        let bytes = [UInt8](repeating: UInt8(value), count: 900)
                        let id = try store.put(bytes)
                        let back = try store.read(id)
                        #expect(store.has(id) && back == bytes)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func anOldTreeSuppliesWhatItHas() throws {
        let tree = try TestTree()
        var random = Seeded(4)
        var content = random.bytes(2 << 20)
        let old = tree.folder("old")
        put(content, to: old + "/renamed since")
        let new = tree.folder("new")
        content[1_000_000] ^= 1
        put(content, to: new + "/file")
        let (manifest, state) = try WorkspaceScanner(root: new).scan(mode: .frozen)
        let store = try tree.store()
        let taken = try store.seed(fromTree: old, for: manifest)
        #expect(taken > 0)
        let missing = store.missing(from: manifest)
        #expect(missing.count <= 3 && missing.count + taken == manifest.chunkIDs.count)
        try move(manifest, state, from: new, to: store)
        let target = tree.folder("target")
        try WorkspaceRestorer().restore(manifest, from: store, into: target)
        try WorkspaceRestorer().verify(manifest.root, of: target)
    }

    @Test func aReaderNeverReturnsOtherBytes() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        put("content", to: root + "/file")
        let (manifest, state) = try WorkspaceScanner(root: root).scan(mode: .frozen)
        let id = manifest.entries[0].chunks[0]
        let changed = WorkspaceError.changedDuringRead(PathBytes("file"))
        let reader = try ChunkReader(root: root, state: state)
        #expect(try reader.readChunk(id) == Array("content".utf8))
        #expect(throws: WorkspaceError.missingChunk(ChunkID(of: []))) { try reader.readChunk(ChunkID(of: [])) }
        put("another", to: root + "/file")
        #expect(throws: changed) { try reader.readChunk(id) }
        put("", to: root + "/file")
        #expect(throws: changed) { try reader.readChunk(id) }
        unlink(root + "/file")
        #expect(throws: changed) { try reader.readChunk(id) }
        put("content", to: tree.path + "/outside")
        symlink("../outside", root + "/file")
        #expect(throws: changed) { try reader.readChunk(id) }
        unlink(root + "/file")
        mkfifo(root + "/file", 0o600)
        #expect(throws: changed) { try reader.readChunk(id) }
        unlink(root + "/file")
        put("content", to: root + "/file")
        #expect(try reader.readChunk(id) == Array("content".utf8))
    }
}
