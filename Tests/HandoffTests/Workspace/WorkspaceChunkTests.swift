import Glibc
import Testing

@testable import Handoff

@Suite struct WorkspaceChunkTests {
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

    /// A power cut may leave the file at any length, and any of it unwritten.
    @Test func whatACrashDamagedIsAskedForAgain() throws {
        let tree = try TestTree()
        let parts = [Array("first".utf8), Array("second".utf8), Array("third".utf8)]
        let store = try tree.store()
        for part in parts { try store.put(part) }
        let folder = try Descriptor.folder(tree.path + "/store")
        let name = Array("chunks".utf8)[...]
        let whole = try folder.open(name, O_RDONLY).bytes(at: 0, count: 1000)
        func check(_ damaged: [UInt8]) throws {
            put(damaged, to: tree.path + "/store/chunks")
            let store = try tree.store()
            for part in parts {
                let id = ChunkID(of: part)
                let isHeld = store.has(id)
                if isHeld { #expect(try store.read(id) == part) }
                if !isHeld { #expect(throws: WorkspaceError.missingChunk(id)) { try store.read(id) } }
                try store.put(part, expecting: id)
            }
            for held in [store, try tree.store()] {
                for part in parts { #expect(try held.read(ChunkID(of: part)) == part) }
            }
        }
        for cut in 0...whole.count { try check(Array(whole[..<cut])) }
        for place in whole.indices {
            var damaged = whole
            damaged[place] ^= 0x55
            try check(damaged)
        }
        try check(whole + [UInt8](repeating: 0, count: 100))
        try check([UInt8](repeating: 0xff, count: 1000))
    }

    @Test func aChunkThatRotsIsNotRestored() throws {
        let tree = try TestTree()
        let store = try tree.store()
        let id = try store.put(Array("kept".utf8))
        try tree.damage(Array("kept".utf8))
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

    @Test func whatAnOldTreeLentAndHasNoMoreIsMissingAgain() throws {
        let tree = try TestTree()
        var random = Seeded(5)
        let (kept, lost) = (random.bytes(1 << 20), random.bytes(1 << 20))
        let (old, new) = (tree.folder("old"), tree.folder("new"))
        for folder in [old, new] {
            put(kept, to: folder + "/kept")
            put(lost, to: folder + "/lost")
        }
        let (manifest, state) = try WorkspaceScanner(root: new).scan(mode: .frozen)
        let store = try tree.store()
        #expect(try store.seed(fromTree: old, for: manifest) == manifest.chunkIDs.count)
        #expect(store.missing(from: manifest).isEmpty)
        // Another name for the tree is nothing to it; another content is.
        #expect(rename(old, old + "-elsewhere") == 0)
        put(random.bytes(1 << 20), to: old + "-elsewhere/lost")
        let target = tree.folder("target")
        #expect(throws: WorkspaceError.self) { try WorkspaceRestorer().restore(manifest, from: store, into: target) }
        let ids = manifest.entries.first { $0.path == PathBytes("lost") }!.chunks
        for id in ids { #expect(throws: WorkspaceError.missingChunk(id)) { try store.read(id) } }
        #expect(store.missing(from: manifest) == ids)
        try move(manifest, state, from: new, to: store)
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
