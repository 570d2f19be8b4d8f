import FoundationEssentials
import Glibc
import Testing

@testable import Handoff

@Suite struct WorkspaceRoundTripTests {
    /// A tree with one of everything that may stand in a workspace.
    static func makeRichTree(in sandbox: TestTree) throws -> String {
        let tree = sandbox.folder("tree")
        var random = Seeded(7)
        put("", to: tree + "/empty")
        put("small", to: tree + "/small file with spaces\nand a second line")
        put(random.bytes(20 << 20), to: tree + "/large")
        put(Array("raw".utf8), to: Array(tree.utf8) + [0x2f, 0xff, 0xfe, 0x5c])
        put("composed", to: tree + "/\u{e9}")
        put("decomposed", to: tree + "/e\u{301}")
        mkdir(tree + "/a", 0o755)
        put("below", to: tree + "/a/b")
        put("sorts between a and a/b", to: tree + "/a-b")
        mkdir(tree + "/empty dir", 0o1777)
        chmod(tree + "/empty dir", 0o1777)
        var deep = tree
        for level in 0..<60 {
            deep += "/d\(level)"
            mkdir(deep, 0o755)
        }
        put("deep", to: deep + "/bottom")
        symlink("small", tree + "/to-small")
        symlink("nowhere/at all", tree + "/a/dangling")
        symlink("../a/b", tree + "/a/up")
        symlink("/sandbox/a/b", tree + "/absolute")
        link(tree + "/a/b", tree + "/a/second")
        link(tree + "/a/b", tree + "/third")
        mkdir(tree + "/read-only", 0o755)
        put("kept", to: tree + "/read-only/kept")
        chmod(tree + "/read-only/kept", 0o400)
        chmod(tree + "/small file with spaces\nand a second line", 0o4751)
        let sparse = open(tree + "/sparse", O_WRONLY | O_CREAT, 0o600)
        ftruncate(sparse, 3 << 20)
        pwrite(sparse, "x", 1, 2 << 20)
        close(sparse)
        try Descriptor.folder(tree).open(Array("large".utf8)[...], O_RDWR).replaceAttributes([], by: [
            ExtendedAttribute(name: PathBytes("user.colour"), value: [0, 255, 1]),
            ExtendedAttribute(name: PathBytes("user.empty"), value: []),
        ])
        try Descriptor.folder(tree + "/a").replaceAttributes([], by: [ExtendedAttribute(name: PathBytes("user.dir"), value: [1])])
        setTime(tree + "/small file with spaces\nand a second line", 1_234_567_890, 123_456_789)
        setTime(tree + "/to-small", 1_000_000_000, 1)
        setTime(tree + "/empty", -5, 999_999_999)
        chmod(tree + "/read-only", 0o555)
        setTime(tree + "/read-only", 1_111_111_111, 42)
        setTime(tree + "/a", 1_111_111_112, 43)
        return tree
    }

    @Test func aRichTreeComesBackEqual() throws {
        let sandbox = try TestTree()
        let tree = try Self.makeRichTree(in: sandbox)
        let (manifest, state) = try WorkspaceScanner(root: tree).scan(mode: .frozen)
        let store = try sandbox.store()
        try move(manifest, state, from: tree, to: store)
        let copy = sandbox.folder("copy")
        let restorer = WorkspaceRestorer()
        try restorer.restore(manifest, from: store, into: copy)
        try restorer.verify(manifest.root, of: copy)

        // The root is judged by the code under test; these look for themselves.
        let folder = try Descriptor.folder(copy)
        let odd = try folder.open([0xff, 0xfe, 0x5c], O_RDONLY)
        #expect(try odd.bytes(at: 0, count: 10) == Array("raw".utf8))
        let spaced = try folder.status(of: Array("small file with spaces\nand a second line".utf8)[...])
        #expect(spaced.st_mode & 0o7777 == 0o751)
        #expect(spaced.st_mtim.tv_sec == 1_234_567_890 && spaced.st_mtim.tv_nsec == 123_456_789)
        #expect(try folder.status(of: Array("empty dir".utf8)[...]).st_mode & 0o7777 == 0o1777)
        let readOnly = try folder.status(of: Array("read-only".utf8)[...])
        #expect(readOnly.st_mode & 0o7777 == 0o555 && readOnly.st_mtim.tv_nsec == 42)
        #expect(try folder.linkText(of: Array("absolute".utf8)[...]) == Array("/sandbox/a/b".utf8))
        #expect(try folder.status(of: Array("to-small".utf8)[...]).st_mtim.tv_nsec == 1)
        #expect(try folder.status(of: Array("third".utf8)[...]).st_nlink == 3)
        #expect(try folder.status(of: Array("sparse".utf8)[...]).st_blocks < 100)
        #expect(try folder.names(limit: 100).count == Descriptor.folder(tree).names(limit: 100).count)
        let large = try folder.open(Array("large".utf8)[...], O_RDONLY)
        #expect(try large.attributes().map(\.value) == [[0, 255, 1], []])
        var random = Seeded(7)
        #expect(try large.bytes(at: 0, count: 21 << 20) == random.bytes(20 << 20))
        #expect(try sandbox.hasOnly("tree", "copy", "store"))
    }

    @Test func aManifestSurvivesBothEncodings() throws {
        let sandbox = try TestTree()
        let (manifest, _) = try WorkspaceScanner(root: try Self.makeRichTree(in: sandbox)).scan(mode: .frozen)
        #expect(try Manifest(encoded: manifest.encoded()) == manifest)
        let json = try JSONEncoder().encode(manifest)
        #expect(try JSONDecoder().decode(Manifest.self, from: json) == manifest)
    }

    @Test func anEmptyTreeComesBackEmpty() throws {
        let sandbox = try TestTree()
        let (manifest, _) = try WorkspaceScanner(root: sandbox.folder("tree")).scan(mode: .frozen)
        let copy = sandbox.folder("copy")
        try WorkspaceRestorer().restore(manifest, from: try sandbox.store(), into: copy)
        try WorkspaceRestorer().verify(manifest.root, of: copy)
        #expect(manifest.entries.isEmpty)
        #expect(try isEmpty(copy))
    }

    @Test func everyFieldOfAnEntryMovesTheRoot() {
        let id = ChunkID(of: [1])
        let entry = WorkspaceEntry(path: PathBytes("a"), kind: .file, mode: 0o644, size: 1, chunks: [id])
        var roots: Set<ChunkID> = [Manifest(entries: [entry]).root]
        let changes: [(inout WorkspaceEntry) -> Void] = [
            { $0.path = PathBytes("b") }, { $0.kind = .directory }, { $0.mode = 0o600 },
            { $0.modified.seconds = 1 }, { $0.modified.nanoseconds = 1 }, { $0.size = 2 },
            { $0.chunks = [ChunkID(of: [2])] }, { $0.chunks = [] }, { $0.target = PathBytes("") },
            { $0.target = PathBytes("x") },
            { $0.attributes = [ExtendedAttribute(name: PathBytes("user.a"), value: [])] },
            { $0.attributes = [ExtendedAttribute(name: PathBytes("user.a"), value: [0])] },
        ]
        for change in changes {
            var changed = entry
            change(&changed)
            #expect(roots.insert(Manifest(entries: [changed]).root).inserted)
        }
        #expect(roots.insert(Manifest(entries: []).root).inserted)
    }

    @Test(arguments: [
        ("plain/name", "plain/name"), ("back\\slash", "back\\\\slash"), ("tab\tnewline\n", "tab\\x09newline\\x0a"),
        ("\u{e9}\u{1f600}", "\u{e9}\u{1f600}"), ("\u{9b}31m", "\\xc2\\x9b31m"),
    ])
    func aPathHasOneTextForm(_ raw: String, _ text: String) {
        #expect(PathBytes(raw).escaped == text)
        #expect(PathBytes(escaped: text) == PathBytes(raw))
    }

    @Test func bytesThatAreNoTextSurviveTheirTextForm() {
        var random = Seeded(3)
        for count in 0..<200 {
            let path = PathBytes(random.bytes(count))
            #expect(PathBytes(escaped: path.escaped) == path)
        }
        #expect(PathBytes(escaped: "\\x41") == nil)
        #expect(PathBytes(escaped: "\\xFF") == nil)
        #expect(PathBytes(escaped: "\\") == nil)
        #expect(PathBytes(escaped: "\\x4") == nil)
        #expect(PathBytes(escaped: "\n") == nil)
    }

    /// BLAKE2b-256 of "abc", computed with Python's hashlib.
    @Test func aChunkIsNamedByItsBlake2b() {
        let hex = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
        #expect(ChunkID(of: Array("abc".utf8)).hex == hex)
        #expect(ChunkID(hex: hex)?.bytes == ChunkID(of: Array("abc".utf8)).bytes)
        #expect(ChunkID(hex: hex.uppercased()) == nil)
        #expect(ChunkID(bytes: [UInt8](repeating: 0, count: 31)) == nil)
    }
}
