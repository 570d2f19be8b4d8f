import Foundation
import MeshNode
import Sandboxes
import TestSupport
import Testing

/// Workspaces of other shapes than those that agents have most: a small edition of each here, the real size in
/// `make test-soak`, a part of `make test-full`.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct LargeWorkspaceTests {
    private static func workspace(_ node: NodeProcess) -> String { node.home + "/node/sandboxes/a/workspace" }

    private static func with(_ body: (NodeProcess, NodeProcess) async throws -> Void) async throws {
        let (mesh, local, cloud) = try await FailureTests.paired()
        var failure: (any Error)?
        do {
            _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
            _ = try await local.chat("one", with: "a")
            try await body(local, cloud)
        } catch { failure = error }
        await local.stop()
        await cloud.stop()
        await mesh.stop()
        if let failure { throw failure }
    }

    private static func move(_ local: NodeProcess, to target: String) async throws -> HandoffProgress {
        _ = try await local.client.call(StartHandoff(sandboxName: "a", target: target))
        try await waitUntil("the move to \(target) ends", within: .seconds(400)) {
            try await local.status(of: "a").phase.isOver
        }
        let move = try await local.status(of: "a")
        try #require(move.phase == .complete && move.error == nil, "\(move.error ?? "")")
        #expect(move.digestBefore == move.digestAfter)
        return move
    }

    @Test func thousandsOfSmallFilesMoveThereAndOnlyWhatChangedBack() async throws {
        let count = SoakTests.isFull ? 10_000 : 1_500
        try await Self.with { local, cloud async throws in
            let root = Self.workspace(local)
            for number in 0..<count {
                let folder = "\(root)/d\(number % 97)/e\(number % 7)"
                if number < 97 * 7 {
                    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                }
                try Data("file \(number) of many".utf8).write(to: URL(fileURLWithPath: "\(folder)/f\(number)"))
            }
            let out = try await Self.move(local, to: "cloud")
            #expect(out.workspaceFiles >= count)
            let there = Self.workspace(cloud)
            func text(_ number: Int) throws -> String {
                try String(contentsOfFile: "\(there)/d\(number % 97)/e\(number % 7)/f\(number)", encoding: .utf8)
            }
            for number in 0..<count where try text(number) != "file \(number) of many" {
                Issue.record("file \(number) is not what it was")
                break
            }
            try Data("changed".utf8).write(to: URL(fileURLWithPath: there + "/d3/e3/f3"))
            let back = try await Self.move(local, to: "local")
            #expect(try String(contentsOfFile: root + "/d3/e3/f3", encoding: .utf8) == "changed")
            #expect(back.movedBytes < out.movedBytes / 2, "\(back.movedBytes) of \(out.movedBytes)")
            #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        }
    }

    @Test func aSparseFileStaysSparse() async throws {
        let size = off_t(SoakTests.isFull ? 4 << 30 : 256 << 20)
        try await Self.with { local, cloud async throws in
            let file = open(Self.workspace(local) + "/sparse", O_RDWR | O_CREAT, 0o600)
            #expect(file >= 0 && ftruncate(file, size) == 0)
            for place in [0, size / 3, size - 5] { #expect(pwrite(file, "here!", 5, place) == 5) }
            close(file)
            let move = try await Self.move(local, to: "cloud")
            #expect(move.movedBytes < 8 << 20, "\(move.movedBytes)")
            var status = stat()
            let path = Self.workspace(cloud) + "/sparse"
            #expect(stat(path, &status) == 0 && status.st_size == size)
            #expect(status.st_blocks * 512 < 4 << 20, "\(status.st_blocks)")
            let copy = open(path, O_RDONLY)
            for place in [0, size / 3, size - 5] {
                var bytes = [UInt8](repeating: 0, count: 5)
                #expect(pread(copy, &bytes, 5, place) == 5 && bytes == Array("here!".utf8))
            }
            close(copy)
            #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        }
    }

    /// A program beside the agent writes while the workspace moves; it stands still with the agent, and ends there.
    @Test func aWorkspaceThatIsWrittenWithoutPauseMovesWhole() async throws {
        let (megabytes, files) = SoakTests.isFull ? (50, 6) : (10, 3)
        try await Self.with { local, cloud async throws in
            let null = open("/dev/null", O_RDWR)
            // A fifth of it every 200 ms, round and round in files of 40 MiB.
            let script = """
                i=0
                while :; do
                    dd if=/dev/urandom of=/sandbox/w$((i % \(files))) bs=1M count=\(megabytes / 5) \
                        seek=$((i / \(files) % 4 * \(megabytes / 5))) conv=notrunc status=none
                    i=$((i + 1)); echo $i > /sandbox/count; sleep 0.18
                done
                """
            let writer = try SandboxCommand(
                at: local.home + "/node/sandboxes/a/run/commands.sock", command: ["/bin/sh", "-c", script],
                environment: [:], files: [null, null, null], hasTerminal: false)
            defer {
                close(writer.connection)
                close(null)
            }
            func written() -> Int {
                (try? String(contentsOfFile: Self.workspace(local) + "/count", encoding: .utf8))
                    .flatMap { Int($0.dropLast()) } ?? 0
            }
            try await waitUntil("every file is there", within: .seconds(60)) { written() > files * 2 }
            let before = written()
            _ = try await Self.move(local, to: "cloud")
            #expect(written() > before, "nothing was written meanwhile")
            // What stayed at the giver is what was frozen there.
            for number in 0..<files {
                let name = "/w\(number)"
                #expect(
                    FileManager.default.contentsEqual(
                        atPath: Self.workspace(local) + name, andPath: Self.workspace(cloud) + name), "\(name)")
            }
            #expect(try await local.chat("two", with: "a").remembered.previous == "one")
        }
    }
}
