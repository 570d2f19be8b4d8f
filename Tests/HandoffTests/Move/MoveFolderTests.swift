import Foundation
import Glibc
import TestSupport
import Testing

@testable import Handoff

/// The exchange of what is in a workspace whose folder is mounted, cut off after every rename.
struct MoveFolderTests {
    private struct World {
        let folder = TemporaryFolder()
        var workspace: String { folder.file("workspace") }
        var tree: String { folder.file("tree") }
        var retired: String { folder.file("retired") }
        var discarded: String { folder.file("discarded") }

        init() throws {
            for (place, text) in [(workspace, "old"), (tree, "new")] {
                try FileManager.default.createDirectory(atPath: place + "/sub", withIntermediateDirectories: true)
                for name in ["a", "b", "sub/c", text] {
                    try text.write(toFile: "\(place)/\(name)", atomically: false, encoding: .utf8)
                }
                // Nobody may write there, its owner neither.
                chmod(place + "/sub", 0o555)
            }
        }

        func content() throws -> [String] {
            try FileManager.default.subpathsOfDirectory(atPath: workspace).sorted().map { name in
                let text = try? String(contentsOfFile: "\(workspace)/\(name)", encoding: .utf8)
                return "\(name)=\(text ?? "/")"
            }
        }

        var number: UInt64 {
            var facts = stat()
            return stat(workspace, &facts) == 0 ? UInt64(facts.st_ino) : 0
        }

        func restoreModes() {
            for path in [workspace, tree, retired, retired + ".part", discarded] { chmod(path + "/sub", 0o755) }
        }
    }

    private static let old = ["a=old", "b=old", "old=old", "sub=/", "sub/c=old"]
    private static let new = ["a=new", "b=new", "new=new", "sub=/", "sub/c=new"]

    @Test func theFolderStaysAndWhatIsInItIsExchanged() throws {
        let world = try World()
        defer { world.restoreModes() }
        let number = world.number
        for _ in 1...2 {
            try MoveFolder.install(tree: world.tree, as: world.workspace, retired: world.retired, keepsFolder: true)
            #expect(try world.content() == Self.new)
        }
        var facts = stat()
        #expect(stat(world.workspace + "/sub", &facts) == 0 && facts.st_mode & 0o777 == 0o555)
        #expect(
            try MoveFolder.revert(
                workspace: world.workspace, retired: world.retired, discarded: world.discarded, keepsFolder: true))
        #expect(try world.content() == Self.old)
        #expect(
            try !MoveFolder.revert(
                workspace: world.workspace, retired: world.retired, discarded: world.discarded, keepsFolder: true))
        #expect(try world.content() == Self.old)
        #expect(world.number == number)
    }

    /// What a crash leaves after any number of entries of either half is brought to either end.
    @Test(arguments: 0...8)
    func aCrashAnywhereLeavesWhatCanBeFinishedOrUndone(steps: Int) throws {
        for finishes in [true, false] {
            let world = try World()
            defer { world.restoreModes() }
            cut(world, after: steps)
            if finishes {
                try MoveFolder.install(tree: world.tree, as: world.workspace, retired: world.retired, keepsFolder: true)
                #expect(try world.content() == Self.new)
            } else {
                _ = try MoveFolder.revert(
                    workspace: world.workspace, retired: world.retired, discarded: world.discarded, keepsFolder: true)
                #expect(try world.content() == Self.old)
            }
        }
    }

    /// Does the first steps of an exchange, as the code does them, and stops.
    private func cut(_ world: World, after steps: Int) {
        var left = steps
        func move(_ source: String, _ target: String) {
            mkdir(target, 0o700)
            for name in (try? FileManager.default.contentsOfDirectory(atPath: source).sorted()) ?? [] where left > 0 {
                left -= 1
                chmod("\(source)/\(name)", name == "sub" ? 0o755 : 0o644)
                rename("\(source)/\(name)", "\(target)/\(name)")
                if name == "sub" { chmod("\(target)/\(name)", 0o555) }
            }
        }
        move(world.workspace, world.retired + ".part")
        guard left > 0 else { return }
        rename(world.retired + ".part", world.retired)
        move(world.tree, world.workspace)
    }
}
