import Foundation
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

struct HandoffCommandTests {
    /// A node whose move takes one phase more at every look.
    private func node(_ phases: [HandoffProgress.Phase]) async throws -> ScriptedNode {
        let node = try await ScriptedNode()
        let looks = Mutex(0)
        node.on(StartHandoff.self) { _ in ScriptedNode.move(phases[0]) }
        node.on(HandoffStatus.self) { _ in
            let look = looks.withLock { $0 += 1; return $0 }
            return ScriptedNode.move(phases[min(look, phases.count - 1)])
        }
        node.on(AbortHandoff.self) { _ in ScriptedNode.move(.aborted) }
        return node
    }

    @Test func aMoveIsFollowedToItsEnd() async throws {
        let node = try await node([.copying, .copying, .freezing, .starting, .complete])
        let output = try await node.kars("handoff", "a", "--to", "cloud")
        #expect(output.status == 0)
        #expect(output.out == "a lives at cloud now; 1.5 MiB moved, frozen for 38.3 ms\n")
        #expect(output.err == "")  // progress is for terminals
        #expect(node.requests(StartHandoff.self).map(\.target) == ["cloud"])
        #expect(node.requests(HandoffStatus.self).count == 4)
        await node.close()
    }

    @Test func anAbortedMoveFailsWithItsReason() async throws {
        let node = try await node([.copying, .aborted])
        let output = try await node.kars("handoff", "a", "--to", "cloud")
        #expect(output.status == 1)
        #expect(output.out == "")
        #expect(
            output.err == "kars handoff: the move of a to cloud was aborted: the target has no space left\n")
        await node.close()
    }

    @Test func noWaitReturnsAtOnce() async throws {
        let node = try await node([.copying])
        let output = try await node.kars("handoff", "a", "--to", "cloud", "--no-wait")
        #expect(output.status == 0)
        #expect(output.out.contains("has begun"))
        #expect(node.requests(HandoffStatus.self).isEmpty)
        await node.close()
    }

    @Test func interruptingTheCommandLeavesTheMoveAlone() async throws {
        let node = try await node([.copying])
        let command = try BuiltProgram.start(["handoff", "a", "--to", "cloud"], home: node.home)
        try await waitUntil("the command watches") { node.requests(HandoffStatus.self).count > 1 }
        command.signal(SIGINT)
        let output = await command.wait()
        #expect(output.status == 130)
        #expect(output.err.contains("The move goes on"))
        #expect(node.requests(AbortHandoff.self).isEmpty)
        await node.close()
    }

    @Test func aNodeThatRestartsIsWaitedFor() async throws {
        let node = try await ScriptedNode()
        let isBack = Mutex(false)
        node.on(StartHandoff.self) { _ in ScriptedNode.move(.copying) }
        node.on(HandoffStatus.self) { _ in
            ScriptedNode.move(isBack.withLock { $0 } ? .complete : .copying)
        }
        let command = try BuiltProgram.start(["handoff", "a", "--to", "cloud"], home: node.home)
        try await waitUntil("the command watches") { node.requests(HandoffStatus.self).count > 0 }
        await node.leave()
        // A second command finds nobody, so the first has time to find nobody too.
        #expect(try await node.kars("handoff", "a", "--status").status == 1)
        isBack.withLock { $0 = true }
        try await node.open()
        let output = await command.wait()
        #expect(output.status == 0)
        #expect(output.out.hasPrefix("a lives at cloud now"))
        await node.close()
    }

    @Test func statusAndAbortAskOnce() async throws {
        let node = try await node([.copying, .complete])
        let status = try await node.kars("handoff", "a", "--status")
        #expect(status.status == 0)
        #expect(status.out.contains("complete"))
        #expect(status.out.contains("38.3 ms"))
        let json = try await node.kars("handoff", "a", "--status", "-o", "json")
        #expect(json.out.contains(#""phase" : "complete""#))
        let abort = try await node.kars("handoff", "a", "--abort")
        #expect(abort.out == "the move of a to cloud is aborted\n")
        #expect(node.requests(StartHandoff.self).isEmpty)
        await node.close()
    }

    @Test func aNewerMoveEndsTheWatch() async throws {
        let node = try await ScriptedNode()
        node.on(StartHandoff.self) { _ in ScriptedNode.move(.copying) }
        node.on(HandoffStatus.self) { _ in
            var other = ScriptedNode.move(.complete)
            other.id = "m2"
            return other
        }
        let output = try await node.kars("handoff", "a", "--to", "cloud")
        #expect(output.status == 1)
        #expect(output.err.contains("another move of a has begun"))
        await node.close()
    }
}
