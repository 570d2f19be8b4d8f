import FoundationEssentials
import Glibc
import Testing

@testable import Handoff

/// What must be refused, and what must not exist afterwards.
@Suite struct WorkspaceRefusalTests {
    static let id = ChunkID(of: Array("content".utf8))

    static func file(_ path: String) -> WorkspaceEntry {
        WorkspaceEntry(path: PathBytes(path), kind: .file, mode: 0o644, size: 7, chunks: [id])
    }

    static func directory(_ path: String) -> WorkspaceEntry {
        WorkspaceEntry(path: PathBytes(path), kind: .directory, mode: 0o755)
    }

    static func symlink(_ path: String, _ target: String) -> WorkspaceEntry {
        WorkspaceEntry(path: PathBytes(path), kind: .symlink, target: PathBytes(target))
    }

    static func hardlink(_ path: String, _ target: String) -> WorkspaceEntry {
        WorkspaceEntry(path: PathBytes(path), kind: .hardlink, target: PathBytes(target))
    }

    /// A file with one field changed.
    static func odd(_ change: (inout WorkspaceEntry) -> Void) -> WorkspaceEntry {
        var entry = file("odd")
        change(&entry)
        return entry
    }

    static func attribute(_ name: String, _ count: Int = 1) -> ExtendedAttribute {
        ExtendedAttribute(name: PathBytes(name), value: [UInt8](repeating: 1, count: count))
    }

    static let hostile: [(String, [WorkspaceEntry])] = [
        ("parent", [file("../canary/new")]),
        ("parent in the middle", [directory("a"), file("a/../../canary/new")]),
        ("parent at the end", [directory("a"), directory("a/..")]),
        ("absolute", [file("/tmp/kars-ws-absolute")]),
        ("no name", [file("")]),
        ("itself", [directory(".")]),
        ("itself below", [directory("a"), file("a/.")]),
        ("empty part", [directory("a"), file("a//b")]),
        ("slash at the end", [directory("a"), directory("a/")]),
        ("NUL", [file("a\0b")]),
        ("long name", [file(String(repeating: "n", count: 256))]),
        ("long path", [file(String(repeating: "n/", count: 2048) + "n")]),
        ("twice", [file("a"), file("a")]),
        ("file and directory", [file("a"), directory("a")]),
        ("below a file", [file("a"), file("a/b")]),
        ("below a link", [symlink("a", "b"), directory("b"), file("a/c")]),
        ("below a link out", [symlink("a", "../canary"), file("a/new")]),
        ("below nothing", [file("a/b")]),
        ("link out", [symlink("a", "../canary/file")]),
        ("link out from below", [directory("a"), symlink("a/b", "../../canary/file")]),
        ("link out through a name", [symlink("a", "x/../../canary")]),
        ("link out through a link", [directory("d"), symlink("d/up", ".."), symlink("e", "d/up/..")]),
        ("link to the root of the host", [symlink("a", "/")]),
        ("link to a file of the host", [symlink("a", "/etc/passwd")]),
        ("link to a neighbour of the sandbox", [symlink("a", "/sandboxed/x")]),
        ("link out of the sandbox", [symlink("a", "/sandbox/../etc/passwd")]),
        ("link to nothing", [symlink("a", "")]),
        ("link with NUL", [symlink("a", "b\0c")]),
        ("endless link", [symlink("a", String(repeating: "b", count: 4096))]),
        ("link without target", [WorkspaceEntry(path: PathBytes("a"), kind: .symlink)]),
        ("hard link out", [hardlink("b", "../canary/file")]),
        ("hard link to an absolute path", [hardlink("b", "/etc/passwd")]),
        ("hard link to a later file", [hardlink("a", "b"), file("b")]),
        ("hard link to a directory", [directory("a"), hardlink("b", "a")]),
        ("hard link to a link", [symlink("a", "x"), hardlink("b", "a")]),
        ("hard link to a hard link", [file("a"), hardlink("b", "a"), hardlink("c", "b")]),
        ("hard link to itself", [hardlink("a", "a")]),
        ("hard link without target", [WorkspaceEntry(path: PathBytes("a"), kind: .hardlink)]),
        ("set-user-ID", [odd { $0.mode = 0o4755 }]),
        ("set-group-ID", [odd { $0.mode = 0o2755 }]),
        ("type bits in the mode", [odd { $0.mode = 0o100644 }]),
        ("nanoseconds", [odd { $0.modified.nanoseconds = 1_000_000_000 }]),
        ("no chunk", [odd { $0.chunks = [] }]),
        ("too many chunks", [odd { $0.chunks = [id, id] }]),
        ("empty with a chunk", [odd { $0.size = 0 }]),
        ("too few chunks", [odd { $0.size = 1 << 20 }]),
        ("largest size", [odd { $0.size = .max }]),
        ("file with target", [odd { $0.target = PathBytes("x") }]),
        ("directory with content", [odd { $0.kind = .directory }]),
        ("system attribute", [odd { $0.attributes = [attribute("security.capability")] }]),
        ("unnamed attribute", [odd { $0.attributes = [attribute("user.")] }]),
        ("attribute twice", [odd { $0.attributes = [attribute("user.a"), attribute("user.a")] }]),
        ("attribute with NUL", [odd { $0.attributes = [attribute("user.a\0b")] }]),
        ("much attribute", [odd { $0.attributes = [attribute("user.a", 40_000), attribute("user.b", 40_000)] }]),
        ("size less than content", [odd { $0.size = 6 }]),
        ("size more than content", [odd { $0.size = 8 }]),
        ("missing chunk", [odd { $0.chunks = [ChunkID(of: [9])] }]),
        ("missing chunk after good files", [directory("a"), file("a/b"), odd { $0.chunks = [ChunkID(of: [9])] }]),
    ]

    @Test(arguments: hostile)
    func aHostileManifestLeavesNothing(_ name: String, _ entries: [WorkspaceEntry]) throws {
        let tree = try TestTree()
        let store = try tree.store()
        try store.put(Array("content".utf8))
        let target = tree.folder("target")
        #expect(throws: WorkspaceError.self) {
            try WorkspaceRestorer().restore(Manifest(entries: entries), from: store, into: target)
        }
        #expect(try isEmpty(target))
        #expect(try tree.hasOnly("target", "store"))
        #expect(access("/tmp/kars-ws-absolute", F_OK) != 0)
    }

    @Test func aManifestThatContradictsItselfIsRefused() throws {
        let good = Manifest(entries: [Self.file("a"), Self.file("b")])
        try good.validate()
        let bad = [
            Manifest(version: 2, entries: good.entries, totalBytes: good.totalBytes, root: good.root),
            Manifest(version: 1, entries: good.entries, totalBytes: 15, root: good.root),
            Manifest(version: 1, entries: good.entries, totalBytes: 14, root: ChunkID(of: [])),
            Manifest(version: 1, entries: good.entries.reversed(), totalBytes: 14, root: good.root),
            Manifest(version: 1, entries: [good.entries[0]], totalBytes: 7, root: good.root),
        ]
        for manifest in bad { #expect(throws: WorkspaceError.self) { try manifest.validate() } }
    }

    @Test(arguments: [
        ("to", "a/b"), ("to", "./a//b"), ("to", "a/../x"), ("to", "missing/../x"), ("to", "a"), ("to", "."),
        ("a/to", ".."), ("a/to", "../a/b"), ("to", "/sandbox"), ("to", "/sandbox/any/thing"), ("to", "to"),
        ("to", "/sandbox/a/../b"), ("to", "up/b"),
    ])
    func aLinkThatStaysInsideIsAllowed(_ path: String, _ target: String) throws {
        let entries = [
            Self.directory("a"), Self.file("a/b"), Self.symlink("up", "a"), Self.symlink(path, target),
        ]
        try Manifest(entries: entries).validate()
    }

    @Test func everyLimitIsHeld() throws {
        let entries = [Self.directory("a"), Self.file("a/b"), Self.file("a/c")]
        func refusal(_ change: (inout WorkspaceLimits) -> Void) -> WorkspaceError? {
            var limits = WorkspaceLimits()
            change(&limits)
            do throws(WorkspaceError) {
                try Manifest(entries: entries).validate(limits)
                return nil
            } catch {
                return error
            }
        }
        #expect(refusal { _ in } == nil)
        #expect(refusal { $0.maximumEntries = 2 } == .tooLarge(what: "entries", limit: 2))
        #expect(refusal { $0.maximumPathBytes = 2 } == .tooLarge(what: "bytes in one path", limit: 2))
        #expect(refusal { $0.maximumNameBytes = 0 } == .tooLarge(what: "bytes in one name", limit: 0))
        #expect(refusal { $0.maximumDepth = 1 } == .tooLarge(what: "names in one path", limit: 1))
        #expect(refusal { $0.maximumTotalBytes = 13 } == .tooLarge(what: "bytes", limit: 13))
        #expect(refusal { $0.maximumFileBytes = 6 } == .tooLarge(what: "bytes in one file", limit: 6))
        var small = WorkspaceLimits()
        small.maximumManifestBytes = 10
        #expect(throws: WorkspaceError.tooLarge(what: "bytes of manifest", limit: 10)) {
            try Manifest(encoded: Manifest(entries: entries).encoded(), limits: small)
        }
    }

    @Test func aScanNamesWhatCannotMove() throws {
        func scan(_ make: (String) -> Void) throws -> WorkspaceError? {
            let tree = try TestTree()
            let root = tree.folder("tree")
            mkdir(root + "/a", 0o755)
            make(root + "/a/odd")
            for mode in [WorkspaceScanner.Mode.live, .frozen] {
                do throws(WorkspaceError) {
                    _ = try WorkspaceScanner(root: root).scan(mode: mode)
                } catch {
                    return error
                }
            }
            return nil
        }
        let odd = PathBytes("a/odd")
        #expect(try scan { mkfifo($0, 0o600) } == .specialFile(odd, kind: "named pipe"))
        #expect(try scan { mknod($0, S_IFSOCK | 0o600, 0) } == .specialFile(odd, kind: "socket"))
        if geteuid() == 0 {
            #expect(try scan { mknod($0, S_IFCHR | 0o600, 0x103) } == .specialFile(odd, kind: "device"))
        }
        for target in ["/etc/passwd", "../../x", "/sandbox/../x", "x/../../../y"] {
            #expect(try scan { Glibc.symlink(target, $0) } == .escapes(odd, target: PathBytes(target)))
        }
    }

    @Test func aScanNeverFollowsALink() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        mkdir(root + "/real", 0o755)
        put("x", to: root + "/real/file")
        Glibc.symlink("real", root + "/alias")
        let (manifest, _) = try WorkspaceScanner(root: root).scan(mode: .frozen)
        #expect(manifest.entries.map(\.path.escaped) == ["alias", "real", "real/file"])
        Glibc.symlink("tree", tree.path + "/link-to-tree")
        #expect(throws: WorkspaceError.self) { try WorkspaceScanner(root: tree.path + "/link-to-tree").scan(mode: .frozen) }
    }

    @Test func aScanHoldsItsLimits() throws {
        let tree = try TestTree()
        let root = tree.folder("tree")
        mkdir(root + "/a", 0o755)
        put("12345", to: root + "/a/b")
        put("12345", to: root + "/a/c")
        let changes: [(inout WorkspaceLimits) -> Void] = [
            { $0.maximumEntries = 2 }, { $0.maximumDepth = 1 }, { $0.maximumPathBytes = 2 },
            { $0.maximumFileBytes = 4 }, { $0.maximumTotalBytes = 9 },
        ]
        for change in changes {
            var limits = WorkspaceLimits()
            change(&limits)
            #expect { try WorkspaceScanner(root: root, limits: limits).scan(mode: .frozen) } throws: { error in
                if case .tooLarge? = error as? WorkspaceError { true } else { false }
            }
        }
    }

    @Test func aFolderThatIsNotEmptyIsLeftAlone() throws {
        let tree = try TestTree()
        let target = tree.folder("target")
        put("mine", to: target + "/kept")
        #expect(throws: WorkspaceError.notEmpty(path: target)) {
            try WorkspaceRestorer().restore(Manifest(entries: []), from: try tree.store(), into: target)
        }
        #expect(try Descriptor.folder(target).names(limit: 5) == [Array("kept".utf8)])
    }

    @Test func anUpdateDoesNotFollowALinkPutInPlaceOfADirectory() throws {
        let tree = try TestTree()
        let store = try tree.store()
        try store.put(Array("content".utf8))
        let target = tree.folder("target")
        let old = Manifest(entries: [Self.directory("a"), Self.file("a/b")])
        try WorkspaceRestorer().restore(old, from: store, into: target)
        unlink(target + "/a/b")
        rmdir(target + "/a")
        Glibc.symlink("../canary", target + "/a")
        let new = Manifest(entries: [Self.directory("a"), Self.file("a/b"), Self.file("a/new"), Self.file("a/file")])
        #expect(throws: WorkspaceError.self) {
            try WorkspaceRestorer().update(target, from: old, to: new, from: store)
        }
        #expect(throws: WorkspaceError.self) {
            try WorkspaceRestorer().update(target, from: old, to: Manifest(entries: []), from: store)
        }
        #expect(try tree.hasOnly("target", "store"))
    }

    /// Random trees of names, kinds and targets that are as likely wrong as right, with a root that fits them.
    @Test(arguments: 0..<4)
    func aRandomManifestNeverLeavesItsFolder(_ seed: Int) throws {
        let tree = try TestTree()
        let store = try tree.store()
        try store.put(Array("content".utf8))
        var random = Seeded(UInt64(seed))
        let names = ["a", "b", "c", "..", ".", "", "canary", "a/b", "a/c", "a/b/c", "b/a", "../canary", "a/../b", "/tmp"]
        var restored = 0
        var previous: Manifest?
        let target = tree.folder("target")
        for _ in 0..<150 {
            let entries = (0..<Int.random(in: 1...4, using: &random)).map { _ -> WorkspaceEntry in
                // Mostly plain names, so that some manifests are right.
                let pool = Bool.random(using: &random) ? ["a", "b", "a/b", "a/c"] : names
                let path = pool.randomElement(using: &random)!
                switch Int.random(in: 0..<4, using: &random) {
                case 0: return Self.file(path)
                case 1: return Self.directory(path)
                case 2: return Self.symlink(path, names.randomElement(using: &random)!)
                default: return Self.hardlink(path, names.randomElement(using: &random)!)
                }
            }
            let manifest = Manifest(entries: entries)
            do throws(WorkspaceError) {
                if let old = previous {
                    try WorkspaceRestorer().update(target, from: old, to: manifest, from: store)
                } else {
                    try WorkspaceRestorer().restore(manifest, from: store, into: target)
                }
                previous = manifest
                restored += 1
            } catch {
                if case .file = error { Issue.record("the system stopped what should have been refused: \(error)") }
            }
            if let previous { try WorkspaceRestorer().verify(previous.root, of: target) }
            #expect(try tree.hasOnly("target", "store"))
        }
        #expect(restored > 3)
    }

    @Test func aMutatedManifestNeverTraps() throws {
        let good = Manifest(entries: [
            Self.directory("a"), Self.file("a/b"), Self.symlink("c", "a/b"), Self.hardlink("d", "a/b"),
            Self.odd { $0.attributes = [Self.attribute("user.a")] },
        ])
        let encoded = good.encoded()
        let json = Array(try JSONEncoder().encode(good))
        var random = Seeded(11)
        for cut in 0..<encoded.count {
            #expect(throws: WorkspaceError.self) { try Manifest(encoded: Array(encoded[..<cut])) }
        }
        #expect(throws: WorkspaceError.self) { try Manifest(encoded: encoded + [0]) }
        for _ in 0..<3000 {
            var bytes = encoded
            bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            #expect(throws: WorkspaceError.self) { try Manifest(encoded: bytes) }
            var text = json
            let place = Int.random(in: 0..<text.count, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0: text[place] = UInt8.random(in: 32...126, using: &random)
            case 1: text.remove(at: place)
            default: text.insert(UInt8.random(in: 0...255, using: &random), at: place)
            }
            guard let manifest = try? JSONDecoder().decode(Manifest.self, from: Data(text)) else { continue }
            if manifest != good { #expect(throws: WorkspaceError.self) { try manifest.validate() } }
        }
    }

    @Test func aCountThatLiesReservesNothing() {
        var writer = CanonicalWriter()
        writer.write(Array("kars-ws1".utf8))
        writer.write(UInt32(1))
        writer.write(UInt64(0))
        writer.write(Self.id)
        writer.write(UInt32.max)
        #expect(throws: WorkspaceError.corrupt("a count exceeds the data behind it")) {
            try Manifest(encoded: writer.bytes)
        }
    }
}
