import Foundation
import Handoff
import MeshIdentity
import TestSupport
import Testing

@testable import MeshNode
@testable import Offload

/// Requesters that lie, repeat themselves or reach for what is another's.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized, .timeLimit(.minutes(5)))
struct OffloadHostTests {
    private static func code(_ error: any Error) -> OperationFailure.Code? { (error as? OperationFailure)?.code }

    @Test func anotherPeersOffloadCanBeNeitherReadNorEnded() async throws {
        let world = try await OffloadHostWorld()
        let (owner, other) = (try await world.requester("owner"), try await world.requester("other"))
        let id = FrameID.make()
        _ = try await owner.call(owner.request("wait for ever", id: id))
        for attempt in 0..<5 {
            await #expect {
                switch attempt {
                case 0: _ = try await other.call(OffloadStatus(id: id, after: nil))
                case 1: _ = try await other.call(OffloadResult(id: id))
                case 2: _ = try await other.call(FetchOffloadFiles(id: id, chunks: WireBytes([])))
                case 3: _ = try await other.call(SendOffloadFiles(id: id, chunks: []))
                default: _ = try await other.call(CleanUpOffload(id: id))
                }
            } throws: { Self.code($0) == .notFound }
        }
        // The same id is another offload of the other peer, whose sandbox would have the same name.
        await #expect { try await other.call(other.request(id: id)) } throws: { Self.code($0) == .conflict }
        #expect(!(try await owner.call(OffloadStatus(id: id, after: nil)).phase.isOver))
        _ = try await owner.call(CleanUpOffload(id: id))
        await world.stop()
    }

    @Test func everyDecisionStandsInTheAuditLog() async throws {
        let world = try await OffloadHostWorld()
        let owner = try await world.requester("owner")
        let (id, late) = (FrameID.make(), FrameID.make())
        _ = try await owner.call(owner.request("wait for ever", id: id))
        _ = try? await owner.call(owner.request(id: late))
        _ = try? await owner.call(owner.request(id: "|\n../not-an-id"))
        _ = try await owner.call(CleanUpOffload(id: id))
        let rows = try await world.store.database.read {
            try $0.query("SELECT agent_id, action, decision FROM audit ORDER BY seq") {
                [$0.text(0), $0.text(1), $0.text(2)]
            }
        }.filter { $0[1].hasPrefix("offload:") }
        let did = owner.peer.did.text
        #expect(
            rows == [
                [did, "offload:request:\(id)", "allowed"], [did, "offload:request:\(late)", "denied"],
                [did, "offload:request:?", "denied"], [did, "offload:cleanup:\(id)", "allowed"],
                [did, "offload:end-cleaned:\(id)", "allowed"],
            ])
        #expect(try await AuditChain(store: world.store).check().firstBrokenRow == nil)
        await world.stop()
    }

    @Test func aRepeatedRequestIsTheSameOffloadAndAnotherOfItsIdIsRefused() async throws {
        let world = try await OffloadHostWorld()
        let owner = try await world.requester("owner", slots: 3)
        let request = owner.request("hello there")
        let first = try await owner.call(request)
        for _ in 0..<3 { _ = try await owner.call(request) }
        #expect(try await world.ledger.all(.served).count == 1)
        await #expect { try await owner.call(owner.request("something else", id: request.id)) } throws: {
            Self.code($0) == .conflict
        }
        #expect(first.allowance == 32_000)
        #expect(try await owner.end(of: request.id).phase == .done)
        // Also when it is over, and when it is collected.
        #expect(try await owner.call(request).phase == .done)
        _ = try await owner.call(CleanUpOffload(id: request.id))
        #expect(try await owner.call(request).phase == .cleaned)
        #expect(try await world.ledger.all(.served).count == 1)
        await #expect { try await owner.call(OffloadResult(id: request.id)) } throws: { Self.code($0) == .conflict }
        await world.stop()
    }

    /// As a host does that was killed after it had given the task.
    @Test func aTaskThatIsGivenTwiceIsDoneOnce() async throws {
        let world = try await OffloadHostWorld()
        let peer = try await world.requester("owner").peer
        let id = FrameID.make()
        var record = OffloadRecord(
            role: .served, peer: peer, id: id, peerName: "", pairing: "", task: "say something",
            preferences: OffloadPreferences(timeout: 60), files: WireBytes([]), digest: "")
        record.allowance = 100
        _ = try await world.services.sandboxes.create(
            CreateSandbox(sandboxName: record.sandbox), environment: OffloadRun.environment(of: record))
        let agent = OffloadAgent(services: world.services)
        let answers = [try await agent.work(on: record), try await agent.work(on: record)]
        #expect(answers[0].reply == answers[1].reply && answers[0].reply.hasSuffix("our first turn."))
        let journal = "\(world.folder.file("sandboxes"))/\(record.sandbox)/workspace/workspace/conversation.jsonl"
        #expect(try String(contentsOfFile: journal, encoding: .utf8).split(separator: "\n").count == 1)
        // One that is destroyed meanwhile is missed, and not waited for.
        try await world.services.sandboxes.destroy(DestroySandbox(sandboxName: record.sandbox))
        await #expect { try await agent.work(on: record) } throws: { "\($0)".contains("the sandbox is gone") }
        await world.stop()
    }

    @Test func wordsOutOfBoundsAreRefusedOnArrival() async throws {
        let world = try await OffloadHostWorld()
        let owner = try await world.requester("owner")
        let wrong = [
            owner.request(id: "short"), owner.request(id: "abcd-efgh-ijkl"), owner.request(id: "../../../../etc"),
            owner.request(id: "ABCDEFGHIJ"), owner.request(id: String(repeating: "a", count: 65)),
            owner.request(id: "abcdefg\u{e9}"),
            owner.request(""), owner.request(String(repeating: "x", count: 32 << 10 + 1)), owner.request("a\0b"),
            owner.request(tokens: 0), owner.request(tokens: -5), owner.request(timeout: 0),
            owner.request(timeout: 86_401),
            owner.request(timeout: .max), owner.request(files: []),
        ]
        for request in wrong {
            await #expect { try await owner.call(request) } throws: { Self.code($0) == .invalid }
        }
        #expect(try await world.ledger.all(.served).isEmpty)
        await world.stop()
    }

    @Test func mutatedListsOfFilesAndForeignChunksAreRefused() async throws {
        let world = try await OffloadHostWorld()
        let owner = try await world.requester("owner", slots: 2)
        let (manifest, reader) = try world.bundle()
        let encoded = manifest.encoded()
        var random = SeededRandom(seed: 77)
        for round in 0..<300 {
            let bytes =
                round % 10 == 9 ? random.bytes(Int.random(in: 0...400, using: &random)) : random.mutation(of: encoded)
            guard bytes != encoded else { continue }
            await #expect { try await owner.call(owner.request(files: bytes)) } throws: { Self.code($0) == .invalid }
        }
        #expect(try await world.ledger.all(.served).isEmpty)

        let request = owner.request("return files", files: encoded)
        let missing = try OffloadBundle.ids(try await owner.call(request).missing)
        #expect(Set(missing) == manifest.chunkIDs)
        for id in missing.prefix(3) {
            let wrong = random.mutation(of: try reader.readChunk(id))
            guard ChunkID(of: wrong) != id else { continue }
            await #expect {
                try await owner.call(SendOffloadFiles(id: request.id, chunks: [WireBytes(wrong)]))
            } throws: {
                Self.code($0) == .invalid
            }
        }
        // Nothing of it came to be, and the right ones are still taken, in any order and twice.
        #expect(try await owner.call(OffloadStatus(id: request.id, after: nil)).phase == .validating)
        for id in missing.reversed() + missing.prefix(2) {
            _ = try await owner.call(SendOffloadFiles(id: request.id, chunks: [WireBytes(try reader.readChunk(id))]))
        }
        #expect(try await owner.end(of: request.id).phase == .done)
        let outcome = try await owner.call(OffloadResult(id: request.id))
        let back = try Manifest(encoded: outcome.files.bytes)
        #expect(back.chunkIDs == manifest.chunkIDs && back.totalBytes == manifest.totalBytes)
        // Of its results nothing is had but by name.
        let foreign = OffloadBundle.joined([ChunkID(of: [1, 2, 3])])
        await #expect { try await owner.call(FetchOffloadFiles(id: request.id, chunks: foreign)) } throws: {
            Self.code($0) == .notFound
        }
        await #expect { try await owner.call(FetchOffloadFiles(id: request.id, chunks: WireBytes([1]))) } throws: {
            Self.code($0) == .invalid
        }
        let all = OffloadBundle.joined(back.chunkIDs.sorted { $0.hex < $1.hex })
        let answer = try await owner.call(FetchOffloadFiles(id: request.id, chunks: all))
        #expect(answer.chunks.reduce(0) { $0 + $1.bytes.count } <= OffloadLimits.messageBytes && !answer.chunks.isEmpty)
        await world.stop()
    }

    @Test func filesThatNeverComeCostTheirTimeAndNoMore() async throws {
        let world = try await OffloadHostWorld()
        let owner = try await world.requester("owner")
        let request = owner.request("return files", files: try world.bundle().manifest.encoded(), timeout: 1)
        _ = try await owner.call(request)
        let end = try await owner.end(of: request.id)
        #expect(end.phase == .failed)
        // The agent never ran, so nothing is spent.
        #expect(try await world.ledger.all(.served).map(\.spent) == [0])
        await world.stop()
    }

    @Test func allPeersTogetherGetNoMoreThanThePeerTakes() async throws {
        var limits = OffloadLimits()
        limits.open = 2
        let world = try await OffloadHostWorld(limits: limits)
        let (a, b) = (try await world.requester("a", slots: 5), try await world.requester("b", slots: 5))
        let ids = [FrameID.make(), FrameID.make()]
        _ = try await a.call(a.request("wait for ever", id: ids[0]))
        _ = try await b.call(b.request("wait for ever", id: ids[1]))
        await #expect { try await b.call(b.request()) } throws: { Self.code($0) == .refused }
        _ = try await a.call(CleanUpOffload(id: ids[0]))
        let last = b.request("hello")
        _ = try await b.call(last)
        #expect(try await b.end(of: last.id).phase == .done)
        _ = try await b.call(CleanUpOffload(id: ids[1]))
        await world.stop()
    }
}
