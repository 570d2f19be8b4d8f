import Glibc
import Testing

@testable import Handoff

@Suite struct WorkspaceUpdateTests {
    /// Chunks as the scanner cuts them. A cut depends on nothing before it, so they may stand in any order.
    private static let long: [[UInt8]] = {
        var random = Seeded(6)
        var rest = random.bytes(2 << 20)[...]
        return (0..<6).map { _ in
            let length = rest.withUnsafeBytes { Chunker.cut($0) }
            defer { rest = rest.dropFirst(length) }
            return Array(rest.prefix(length))
        }
    }()

    private static func file(_ path: String, _ parts: [[UInt8]], mode: UInt32 = 0o400) -> WorkspaceEntry {
        WorkspaceEntry(
            path: PathBytes(path), kind: .file, mode: mode, size: UInt64(parts.reduce(0) { $0 + $1.count }),
            chunks: parts.map { ChunkID(of: $0) })
    }

    private static func directory(_ path: String, _ attributes: [String] = []) -> WorkspaceEntry {
        WorkspaceEntry(
            path: PathBytes(path), kind: .directory, mode: 0o500, modified: Timestamp(seconds: 5, nanoseconds: 6),
            attributes: attributes.map { ExtendedAttribute(name: PathBytes($0), value: Array($0.utf8)) })
    }

    private static let old = Manifest(entries: [
        directory("a", ["user.gone", "user.stays"]), file("a/changed", [long[0], long[1], long[2]]),
        file("a/removed", [[1]]), directory("a/sub"), file("a/sub/removed", [[1]]),
        directory("b"), directory("b/deep"), file("b/deep/kept", [[1]]),
        WorkspaceEntry(path: PathBytes("b/link"), kind: .symlink, target: PathBytes("deep")),
        file("z", [[1]]), WorkspaceEntry(path: PathBytes("zz"), kind: .hardlink, target: PathBytes("z")),
    ])

    private static let new = Manifest(entries: [
        directory("a", ["user.new", "user.stays"]), file("a/changed", [long[0], long[3], long[2], long[4]]),
        directory("a/new"), file("a/new/file", [[2]], mode: 0),
        file("a/sub", [[1]]),
        directory("b"), directory("b/deep"), file("b/deep/kept", [[1]]),
        WorkspaceEntry(path: PathBytes("b/link"), kind: .symlink, target: PathBytes("deep/kept")),
        WorkspaceEntry(path: PathBytes("y"), kind: .hardlink, target: PathBytes("a/sub")),
        file("z", [[2]]), WorkspaceEntry(path: PathBytes("zz"), kind: .hardlink, target: PathBytes("z")),
    ])

    /// Run as an ordinary user this also shows that read-only directories are opened up and closed again.
    @Test func anUpdateReachesEveryKindOfChangeBothWays() throws {
        let tree = try TestTree()
        let store = try tree.store()
        for part in Self.long + [[1], [2]] { try store.put(part) }
        let target = tree.folder("target")
        let restorer = WorkspaceRestorer()
        try restorer.restore(Self.old, from: store, into: target)
        var state = try restorer.verify(Self.old.root, of: target)
        for (from, to) in [(Self.old, Self.new), (Self.new, Self.old), (Self.old, Self.new)] {
            try restorer.update(target, from: from, to: to, from: store)
            if geteuid() == 0 {  // one file forbids even its owner to read it
                state = try restorer.verify(to.root, of: target, previous: state)
                try restorer.verify(to.root, of: target)
            }
        }
        #expect(try Descriptor.folder(target).status(of: Array("zz".utf8)[...]).st_nlink == 2)
    }

    @Test func aPlanTouchesOnlyWhatDiffers() {
        let plan = TreePlan(from: Self.old, to: Self.new)
        #expect(plan.removals.map(\.path.escaped) == ["b/link", "a/sub/removed", "a/sub", "a/removed"])
        #expect(plan.unlocked.map(\.path.escaped) == ["a", "a/sub", "b"])
        #expect(plan.newDirectories.map(\.path.escaped) == ["a/new"])
        #expect(plan.files.map(\.entry.path.escaped) == ["a/changed", "a/new/file", "a/sub", "z"])
        #expect(plan.files.map { $0.old != nil } == [true, false, false, true])
        #expect(plan.hardLinks.map(\.path.escaped) == ["y"])
        #expect(plan.symlinks.map(\.path.escaped) == ["b/link"])
        #expect(plan.stamped.map(\.entry.path.escaped) == ["b", "a/new", "a"])
        let nothing = TreePlan(from: Self.new, to: Self.new)
        #expect(nothing.files.isEmpty && nothing.stamped.isEmpty && nothing.removals.isEmpty && nothing.addedBytes == 0)
    }

    /// What stands in place already is not even looked at: it could be damaged.
    @Test func anUpdateReadsOnlyTheChunksThatMoved() throws {
        let tree = try TestTree()
        let store = try tree.store()
        var changed = Self.long[1]
        changed[0] ^= 1  // before the bytes a cut depends on
        for part in Self.long + [changed] { try store.put(part) }
        let target = tree.folder("target")
        let restorer = WorkspaceRestorer()
        let old = Manifest(entries: [Self.file("f", [Self.long[0], Self.long[1], Self.long[2]])])
        let new = Manifest(entries: [Self.file("f", [Self.long[0], changed, Self.long[2]])])
        try restorer.restore(old, from: store, into: target)
        for part in [Self.long[0], Self.long[2]] { try tree.damage(part) }
        try restorer.update(target, from: old, to: new, from: store)
        try restorer.verify(new.root, of: target)
    }

    @Test func anUpdateThatFailsHalfWayLeavesNothing() throws {
        let tree = try TestTree()
        let store = try tree.store()
        for part in Self.long + [[1]] { try store.put(part) }
        let target = tree.folder("target")
        let restorer = WorkspaceRestorer()
        try restorer.restore(Self.old, from: store, into: target)
        #expect(throws: WorkspaceError.missingChunk(ChunkID(of: [2]))) {
            try restorer.update(target, from: Self.old, to: Self.new, from: store)
        }
        #expect(try isEmpty(target))
        try restorer.restore(Self.old, from: store, into: target)
        try restorer.verify(Self.old.root, of: target)
    }

    /// The chunks go before the tree is synced; from then on the tree lends them, also what a later round overwrites.
    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func aStoreThatLivesOffTheTreeHasAllThatItEverHad(_ seed: UInt64) throws {
        let tree = try TestTree()
        let store = try tree.store()
        let (source, target) = (tree.folder("source"), tree.folder("target"))
        var random = Seeded(seed)
        let parts = Self.long + (0..<4).map { _ in random.bytes(30_000) }
        func write(_ name: Int) {
            let count = Int.random(in: 1...6, using: &random)
            let content = (0..<count).flatMap { _ in parts.randomElement(using: &random)! }
            put(content, to: source + "/f\(name)")
        }
        for name in 0..<8 { write(name) }
        let restorer = WorkspaceRestorer()
        var (manifest, state) = try WorkspaceScanner(root: source).scan(mode: .frozen)
        try move(manifest, state, from: source, to: store)
        var known = Set(manifest.chunkIDs)
        try restorer.restore(manifest, from: store, into: target, emptiesStore: true)
        #expect(try Descriptor.folder(tree.path + "/store").status(of: Array("chunks".utf8)[...]).st_size == 0)
        var verified = try restorer.verify(manifest.root, of: target)
        store.borrow(from: try ChunkReader(root: target, state: verified))

        for round in 1...12 {
            for _ in 1...3 {
                let name = Int.random(in: 0..<8, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: unlink(source + "/f\(name)")
                case 1: rename(source + "/f\(name)", source + "/f\(Int.random(in: 0..<8, using: &random))")
                default: write(name)
                }
            }
            let before = manifest
            (manifest, state) = try WorkspaceScanner(root: source).scan(previous: state, mode: .frozen)
            // A giver sends what it never sent.
            let reader = try ChunkReader(root: source, state: state)
            for id in Set(manifest.chunkIDs).subtracting(known) {
                try store.put(try reader.readChunk(id), expecting: id)
            }
            known.formUnion(manifest.chunkIDs)
            #expect(store.missing(from: manifest).isEmpty, "round \(round)")
            try restorer.update(target, from: before, to: manifest, from: store)
            verified = try restorer.verify(manifest.root, of: target, previous: verified)
            store.borrow(from: try ChunkReader(root: target, state: verified))
        }
    }
}
