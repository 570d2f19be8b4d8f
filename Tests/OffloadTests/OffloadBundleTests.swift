import Foundation
import Handoff
import MeshIdentity
import TestSupport
import Testing

@testable import MeshNode
@testable import Offload

/// What goes with a task, and what is refused before it does.
struct OffloadBundleTests {
    private let folder = TemporaryFolder()
    private let limits = OffloadLimits()

    private func file(_ name: String, _ bytes: Int = 10) throws -> String {
        let path = folder.file(name)
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(count: bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    private func gather(_ paths: [String], _ limits: OffloadLimits = OffloadLimits()) async throws -> [String] {
        let target = folder.file("gathered")
        try? FileManager.default.removeItem(atPath: target)
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        try await OffloadBundle.gather(paths, into: target, limits)
        return try OffloadBundle.scan(target, limits).manifest.entries.map(\.path.escaped)
    }

    @Test func filesAndFoldersGoByTheirLastName() async throws {
        _ = try file("papers/deep/a")
        symlink(folder.file("papers"), folder.file("alias"))
        let names = try await gather([folder.file("papers"), try file("x/note"), folder.file("alias")])
        #expect(names == ["alias", "alias/deep", "alias/deep/a", "note", "papers", "papers/deep", "papers/deep/a"])
    }

    @Test func whatCannotGoAlongIsNamed() async throws {
        mkfifo(folder.file("pipe"), 0o600)
        _ = try file("holder/a")
        symlink("../outside", folder.file("holder/link"))
        let cases: [([String], String)] = [
            ([folder.file("none")], "none"), ([folder.file("pipe")], "neither a file nor a folder"),
            ([try file("a/same"), try file("b/same")], "two of the files are called same"),
            ([folder.file("holder")], "leads out"), (["/"], "no name of its own"),
            ([folder.path + "/."], "no name of its own"),
        ]
        for (paths, text) in cases {
            await #expect { try await gather(paths) } throws: { "\($0)".contains(text) }
        }
        var small = limits
        small.bytes = 1_000
        let (first, second) = (try file("c/one", 600), try file("c/two", 600))
        await #expect { try await gather([first, second], small) } throws: { "\($0)".contains("1000") }
        await #expect { try await gather([folder.file("c")], small) } throws: { "\($0)".contains("1000") }
    }

    @Test func whatAnAgentLeavesThatCannotComeBackIsRefused() throws {
        let left = folder.file("outgoing")
        try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: true)
        #expect(try OffloadBundle.scan(folder.file("absent"), limits).manifest.entries.isEmpty)
        symlink("/etc/passwd", left + "/link")
        #expect { try OffloadBundle.scan(left, limits) } throws: { "\($0)".contains("leads out") }
        unlink(left + "/link")
        mkfifo(left + "/pipe", 0o600)
        #expect { try OffloadBundle.scan(left, limits) } throws: { "\($0)".contains("named pipe") }
        unlink(left + "/pipe")
        // In place of the folder itself.
        rmdir(left)
        symlink("/etc", left)
        #expect(throws: WorkspaceError.self) { try OffloadBundle.scan(left, limits) }
    }

    /// Reading all of it would take hours.
    @Test(.timeLimit(.minutes(1))) func holesOfTerabytesAreRefusedUnread() throws {
        let left = folder.file("outgoing")
        try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: true)
        for number in 0..<8 {
            let file = open(left + "/\(number)", O_RDWR | O_CREAT, 0o600)
            #expect(ftruncate(file, 256 << 30) == 0)
            close(file)
        }
        #expect { try OffloadBundle.scan(left, limits) } throws: { "\($0)".contains("bytes in one file") }
        var wide = limits.workspace
        wide.maximumFileBytes = 1 << 40
        #expect(throws: WorkspaceError.tooLarge(what: "bytes", limit: wide.maximumTotalBytes)) {
            try WorkspaceScanner(root: left, limits: wide).scan(mode: .live)
        }
    }

    @Test func aListOfFilesThatIsTooLongForAMessageIsRefused() throws {
        let many = folder.file("many")
        try FileManager.default.createDirectory(atPath: many, withIntermediateDirectories: true)
        var wide = limits
        wide.files = 5_000
        for number in 0..<1_200 {
            try Data().write(to: URL(fileURLWithPath: many + "/" + String(repeating: "n", count: 200) + "\(number)"))
        }
        #expect { try OffloadBundle.scan(many, wide) } throws: { "\($0)".contains("262144") }
        #expect { try OffloadBundle.scan(many, limits) } throws: { "\($0)".contains("1000 entries") }
    }

    @Test func listsOfChunksAreWholeAndBounded() throws {
        let ids = (0..<5).map { ChunkID(of: [UInt8($0)]) }
        #expect(try OffloadBundle.ids(OffloadBundle.joined(ids)) == ids)
        #expect(throws: OperationFailure.self) { try OffloadBundle.ids(WireBytes([1, 2, 3])) }
        let most = OffloadLimits.listedChunks
        #expect(try OffloadBundle.ids(WireBytes(Array(repeating: 7, count: 32 * most))).count == most)
        #expect(throws: OperationFailure.self) {
            try OffloadBundle.ids(WireBytes(Array(repeating: 7, count: 32 * (most + 1))))
        }
    }

    @Test func textIsCutBetweenCharacters() {
        let text = "a\u{1F600}é" + String(repeating: "\u{1F469}\u{200D}\u{1F52C}", count: 3)
        for limit in 0...text.utf8.count + 2 {
            let (cut, isCut) = OffloadRun.cut(text, to: limit)
            #expect(cut.utf8.count <= limit && text.hasPrefix(cut) && isCut == (limit < text.utf8.count))
        }
    }

    /// Whatever bytes a peer sends, a decoder refuses them or gives values whose check says what is wrong.
    @Test func randomAndMutatedMessagesAreReadOrRefused() {
        var random = SeededRandom(seed: 12)
        let request = RequestOffload(
            id: FrameID.make(), task: "count",
            preferences: OffloadPreferences(model: "m", maximumTokens: 5, timeout: 60),
            files: WireBytes(Manifest(entries: []).encoded()))
        let outcome = OffloadOutcome(
            summary: "s", isCut: false, tokens: OffloadTokens(prompt: 1, completion: 2), seconds: 1,
            files: request.files)
        let status = OffloadStatus.Answer(
            phase: .working, message: "m", allowance: 5, revision: 3, missing: request.files)
        var checked = 0
        for _ in 0..<2_000 {
            if let read = PeerJSON.decode(RequestOffload.self, from: random.mutation(of: PeerJSON.encode(request))) {
                checked += 1
                if (try? read.check(limits)) != nil {
                    #expect(OffloadRecord.isID(read.id) && OffloadLimits.timeouts.contains(read.preferences.timeout))
                }
            }
            if let read = PeerJSON.decode(OffloadOutcome.self, from: random.mutation(of: PeerJSON.encode(outcome))) {
                // A sum that a peer chose must not overflow.
                #expect(read.tokens.map { $0.total >= 0 } ?? true)
            }
            _ = PeerJSON.decode(OffloadStatus.Answer.self, from: random.mutation(of: PeerJSON.encode(status)))
            _ = PeerJSON.decode(RequestOffload.self, from: random.bytes(Int.random(in: 0...300, using: &random)))
        }
        #expect(checked > 100)
        for number in ["9223372036854775807", "-1", "1e300"] {
            let text = #"{"prompt":\#(number),"completion":9223372036854775807}"#
            #expect(PeerJSON.decode(OffloadTokens.self, from: Array(text.utf8)) == nil)
        }
    }
}
