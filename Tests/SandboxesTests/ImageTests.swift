import Foundation
import TestSupport
import Testing

@testable import Sandboxes

struct IgnoreRulesTests {
    private func ignored(_ text: String, _ paths: String...) -> [String] {
        let rules = IgnoreRules(parsing: text)
        return paths.filter { rules.ignores($0.split(separator: "/").map(String.init)) }
    }

    @Test func aPatternStandsForWhatItMatchesAndAllInIt() {
        let paths = ["a", "a/b", "a/b/c.o", "b", "x/a", "x/c.o"]
        func ignored(_ text: String) -> [String] {
            let rules = IgnoreRules(parsing: text)
            return paths.filter { rules.ignores($0.split(separator: "/").map(String.init)) }
        }
        #expect(ignored("a") == ["a", "a/b", "a/b/c.o"])
        #expect(ignored("/a/\n") == ["a", "a/b", "a/b/c.o"])
        #expect(ignored("./a/b") == ["a/b", "a/b/c.o"])
        #expect(ignored("*.o") == [])
        #expect(ignored("*/*.o") == ["x/c.o"])
        #expect(ignored("**/*.o") == ["a/b/c.o", "x/c.o"])
        #expect(ignored("**/a") == ["a", "a/b", "a/b/c.o", "x/a"])
        #expect(ignored("a/**") == ["a", "a/b", "a/b/c.o"])
        #expect(ignored("?") == ["a", "a/b", "a/b/c.o", "b"] + ["x/a", "x/c.o"])
        #expect(ignored("# a\n\n  \n[bc]\n") == ["b"])
    }

    @Test func theLastLineThatMatchesDecides() {
        #expect(ignored("*\n!keep\n!src/**/*.py", "keep", "keep/x", "drop", "src/a.py", "src/b/a.py", "src/b/c") == ["drop", "src/b/c"])
        #expect(ignored("!keep\n*", "keep") == ["keep"])
        #expect(IgnoreRules(parsing: "*\n!keep").canBringBack && !IgnoreRules(parsing: "*").canBringBack)
    }

    @Test func aPatternOfManyWildcardsEnds() {
        let deep = Array(repeating: "a", count: 60)
        #expect(!IgnoreRules(parsing: Array(repeating: "**", count: 60).joined(separator: "/") + "/b").ignores(deep))
    }
}

struct BuildContextTests {
    private let folder = TemporaryFolder()

    private func write(_ name: String, _ text: String = "x") throws {
        let path = URL(filePath: folder.file(name))
        try FileManager.default.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: path)
    }

    @Test func aBuildGetsAllButWhatIsIgnored() async throws {
        for name in ["Dockerfile", "main.py", "node_modules/a/b", "data/big", "data/keep/x", ".git/HEAD", "-odd\nname"] {
            try write(name)
        }
        try write(".dockerignore", "node_modules\n.git\ndata\n!data/keep\nDockerfile\n.dockerignore\n")
        // Out of the folder; packed as what it is.
        try FileManager.default.createSymbolicLink(atPath: folder.file("link"), withDestinationPath: "/etc/passwd")
        #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
        let context = BuildContext(folder: folder.path)
        let expected = ["-odd\nname", ".dockerignore", "Dockerfile", "data/keep", "data/keep/x", "link", "main.py"]
        #expect(try context.entries().sorted() == expected.sorted())
        let archive = folder.file("context.tar")
        try Data(try context.archive()).write(to: URL(filePath: archive))
        let list = try await ChildProcess("/usr/bin/tar", ["--list", "--verbose", "--numeric-owner", "--file", archive]).wait()
        #expect(list.out.contains("link -> /etc/passwd") && list.out.contains("-odd\\nname"))
        #expect(list.out.split(separator: "\n").allSatisfy { $0.contains(" 0/0 ") }, "\(list.out)")
    }

    @Test func aFolderWithoutARecipeIsRefused() throws {
        try write("x")
        let error = #expect(throws: SandboxError.self) { _ = try BuildContext(folder: folder.path).archive() }
        #expect(error?.description.contains("no Dockerfile") == true)
    }
}

struct EngineLineTests {
    private static let answer = """
        {"status":"Pulling from library/debian","id":"12"}
        {"status":"Pulling fs layer","progressDetail":{},"id":"a"}
        {"status":"Waiting","progressDetail":{},"id":"b"}
        {"status":"Already exists","progressDetail":{},"id":"c"}
        {"status":"Downloading","progressDetail":{"current":10,"total":100},"progress":"[>]","id":"a"}
        {"status":"Downloading","progressDetail":{"current":60,"total":100},"id":"a"}
        {"status":"Downloading","progressDetail":{"current":5,"total":50},"id":"b"}
        {"status":"Download complete","progressDetail":{},"id":"b"}
        {"status":"Extracting","progressDetail":{"current":1,"total":50},"id":"b"}
        {"status":"Pull complete","progressDetail":{},"id":"b"}
        {"status":"Digest: sha256:00"}

        """

    @Test func layersAndBytesAreCounted() {
        var lines = EngineLines(), count = LayerCount()
        for line in lines.take(Array(Self.answer.utf8)) { count.take(line) }
        let progress = count.progress
        #expect(progress.layers == 3 && progress.wholeLayers == 2 && progress.bytes == 110 && progress.totalBytes == 150)
    }

    @Test func linesComeOutTheSameHoweverTheyWereCut() {
        var random = SeededRandom(seed: 5)
        let bytes = Array((Self.answer + "{\"error\":\"last\"}").utf8)
        for _ in 0..<200 {
            var lines = EngineLines(), count = LayerCount(), rest = bytes[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...40, using: &random))
                rest = rest.dropFirst(piece.count)
                for line in lines.take(Array(piece)) { count.take(line) }
            }
            #expect(lines.end()?.error == "last")
            #expect(count.progress.bytes == 110 && count.progress.layers == 3)
        }
    }

    @Test func oddAnswersAreBoundedAndHarmless() {
        var random = SeededRandom(seed: 6)
        let whole = Array(Self.answer.utf8)
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0..<20 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random) }
            var lines = EngineLines(), count = LayerCount()
            for line in lines.take(bytes) { count.take(line) }
            #expect(count.progress.bytes <= count.progress.totalBytes && count.progress.layers <= LayerCount.maximumLayers)
        }
        var lines = EngineLines(), count = LayerCount()
        #expect(lines.take([UInt8](repeating: 0x20, count: 10 << 20)).isEmpty)
        let tail = lines.take(Array("\n{\"status\":\"Waiting\",\"id\":\"z\"}\n".utf8))
        #expect(tail.map(\.id) == ["z"])
        for id in 0..<2_000 {
            let huge = "{\"status\":\"Downloading\",\"id\":\"\(id)\",\"progressDetail\":{\"current\":-5,\"total\":\(Int.max)}}\n"
            for line in lines.take(Array(huge.utf8)) { count.take(line) }
        }
        #expect(count.progress.layers == LayerCount.maximumLayers && count.progress.totalBytes == .max)
    }
}
