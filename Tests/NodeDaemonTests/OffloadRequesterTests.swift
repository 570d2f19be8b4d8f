import Foundation
import Handoff
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode
@testable import Offload

/// What a peer that asked for an offload takes from one that lies.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct OffloadRequesterTests {
    /// A peer, a liar it is paired with, and a task whose end is looked at.
    private static func ask(
        files: [(name: String, bytes: [UInt8])] = [], _ lies: (LyingHost) -> Void,
        _ look: (OffloadProgress, LyingHost, PeerFixture) async throws -> Void
    ) async throws {
        let mesh = try await MeshFixture()
        let (local, liar) = (try await mesh.peer("local"), try await LyingHost(mesh))
        lies(liar)
        try await liar.pair(local)
        var paths: [String] = []
        for (name, bytes) in files {
            paths.append(mesh.folder.file(name))
            try Data(bytes).write(to: URL(fileURLWithPath: paths.last!))
        }
        let started = try await local.client.call(
            StartOffload(task: "count", target: "liar", files: paths, preferences: OffloadPreferences(timeout: 60)))
        var end = started
        try await waitUntil("the offload has ended", within: .seconds(60)) {
            end = try await local.client.call(ShowOffload(id: started.id))
            return end.phase.isOver
        }
        // However it ended, the other side is told that it may forget.
        try await waitUntil("the host is told") { liar.cleaned.withLock { $0 } == [started.id] }
        try await look(end, liar, local)
        await local.stop()
        liar.stop()
        await mesh.stop()
    }

    private static func outcome(_ manifest: [UInt8], summary: String = "done") -> OffloadOutcome {
        OffloadOutcome(summary: summary, isCut: false, tokens: nil, seconds: 1, files: WireBytes(manifest))
    }

    private static func isDone(_ liar: LyingHost) {
        liar.on(RequestOffload.self) { _ in .init(.working) }
        liar.on(OffloadStatus.self) { _ in .init(.done, revision: 5) }
    }

    @Test func anHonestResultIsKept() async throws {
        let chunk = Array("the result".utf8)
        let manifest = Manifest(entries: [
            WorkspaceEntry(
                path: PathBytes("r"), kind: .file, mode: 0o644, size: UInt64(chunk.count), chunks: [ChunkID(of: chunk)])
        ])
        try await Self.ask {
            Self.isDone($0)
            $0.on(OffloadResult.self) { _ in Self.outcome(manifest.encoded()) }
            $0.on(FetchOffloadFiles.self) { _ in .init(chunks: [WireBytes(chunk)]) }
        } _: { end, _, local in
            #expect(end.phase == .done && end.result?.files == [.init(path: "r", bytes: chunk.count)])
            let folder = local.home + "/out"
            _ = try await local.client.call(ShowOffload(id: end.id, folder: folder))
            #expect(FileManager.default.contents(atPath: folder + "/r") == Data(chunk))
        }
    }

    @Test(arguments: ["escape", "link", "root", "words", "random"])
    func aListOfFilesThatBreaksARuleIsRefused(_ lie: String) async throws {
        let entry = { (path: String) in WorkspaceEntry(path: PathBytes(path), kind: .file, mode: 0o644) }
        var bytes: [UInt8] = []
        switch lie {
        case "escape": bytes = Manifest(entries: [entry("../outside")]).encoded()
        case "link":
            bytes = Manifest(entries: [
                WorkspaceEntry(path: PathBytes("l"), kind: .symlink, target: PathBytes("/etc/passwd"))
            ])
            .encoded()
        case "root":
            bytes = Manifest(entries: [entry("a")]).encoded()
            bytes[bytes.count - 1] ^= 1
        case "words": bytes = Manifest(entries: []).encoded()
        default:
            var random = SeededRandom(seed: 3)
            bytes = random.bytes(500)
        }
        let summary = String(repeating: "x", count: lie == "words" ? OffloadLimits.maximumSummaryBytes + 1 : 5)
        try await Self.ask { [bytes] in
            Self.isDone($0)
            $0.on(OffloadResult.self) { _ in Self.outcome(bytes, summary: summary) }
        } _: { end, _, local in
            #expect(end.phase == .failed && end.message?.isEmpty == false)
            #expect(OffloadTests.kept(local.home + "/node/offloads/asked").isEmpty)
        }
    }

    @Test(arguments: [0, 1, 2])
    func chunksThatAreNotWhatTheyAreCalledAreRefused(_ lie: Int) async throws {
        let chunk = Array("the result".utf8)
        let manifest = Manifest(entries: [
            WorkspaceEntry(
                path: PathBytes("r"), kind: .file, mode: 0o644, size: UInt64(chunk.count), chunks: [ChunkID(of: chunk)])
        ])
        try await Self.ask {
            Self.isDone($0)
            $0.on(OffloadResult.self) { _ in Self.outcome(manifest.encoded()) }
            $0.on(FetchOffloadFiles.self) { _ in
                let wrong = WireBytes(Array("another one".utf8))
                return .init(chunks: [[], [wrong], [WireBytes(chunk), wrong]][lie])
            }
        } _: { end, _, local in
            #expect(end.phase == .failed && end.result == nil)
            #expect(OffloadTests.kept(local.home + "/node/offloads/asked").isEmpty)
        }
    }

    @Test func aHostThatAsksForFilesForEverIsServedAFewTimes() async throws {
        let bytes = [UInt8](repeating: 7, count: 10)
        try await Self.ask(files: [("f", bytes)]) {
            $0.on(RequestOffload.self) { _ in .init(.validating) }
            $0.on(OffloadStatus.self) { _ in .init(.validating, missing: OffloadBundle.joined([ChunkID(of: bytes)])) }
        } _: { end, liar, _ in
            #expect(end.phase == .failed && end.message?.contains("again and again") == true)
            #expect(liar.received.withLock { $0 } == Array(repeating: bytes, count: 4))
        }
    }

    @Test func aHostGetsNothingButTheFilesOfItsOffload() async throws {
        try await Self.ask(files: [("f", [1, 2, 3])]) {
            $0.on(RequestOffload.self) { _ in .init(.validating) }
            $0.on(OffloadStatus.self) { _ in .init(.validating, missing: OffloadBundle.joined([ChunkID(of: [9])])) }
        } _: { end, liar, _ in
            #expect(end.phase == .failed && end.message?.contains("none of the files") == true)
            #expect(liar.received.withLock { $0.isEmpty })
        }
    }

    @Test func aHostsWordsAreBounded() async throws {
        try await Self.ask {
            $0.on(RequestOffload.self) { _ in .init(.working) }
            $0.on(OffloadStatus.self) { _ in .init(.failed, revision: 2, message: String(repeating: "é", count: 9_000))
            }
        } _: { end, _, _ in
            #expect(end.phase == .failed && end.message?.utf8.count == OffloadLimits.maximumMessageBytes)
        }
    }

    @Test func aPeerThatKnowsNoOffloadsSaysSo() async throws {
        let mesh = try await MeshFixture()
        let (local, liar) = (try await mesh.peer("local"), try await LyingHost(mesh))
        try await liar.pair(local)
        await #expect {
            try await local.client.call(
                StartOffload(task: "count", target: "liar", files: [], preferences: OffloadPreferences(timeout: 60)))
        } throws: { ($0 as? OperationFailure)?.message.contains("takes no offloads") == true }
        #expect(try await local.client.call(ListOffloads(role: .asked)).isEmpty)
        await local.stop()
        liar.stop()
        await mesh.stop()
    }

    @Test func anOffloadOfASilentPeerCanBeCancelledHere() async throws {
        let mesh = try await MeshFixture()
        let (local, liar) = (try await mesh.peer("local"), try await LyingHost(mesh))
        liar.on(RequestOffload.self) { _ in .init(.working) }
        liar.on(OffloadStatus.self) { _ in throw OperationFailure(.unavailable, "not now") }
        try await liar.pair(local)
        let started = try await local.client.call(
            StartOffload(task: "count", target: "liar", files: [], preferences: OffloadPreferences(timeout: 60)))
        let ended = try await local.client.call(CancelOffload(id: started.id))
        #expect(ended.phase == .cleaned)
        // Again: it is forgotten.
        _ = try await local.client.call(CancelOffload(id: started.id))
        #expect(try await local.client.call(ListOffloads(role: .asked)).isEmpty)
        await local.stop()
        liar.stop()
        await mesh.stop()
    }
}
