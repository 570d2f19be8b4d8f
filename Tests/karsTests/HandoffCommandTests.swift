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

    @Test func aDryRunPrintsThePlan() async throws {
        let node = try await ScriptedNode()
        node.on(PlanHandoff.self) { request in
            .init(
                sandbox: request.sandboxName, peer: "cloud", files: 12, bytes: 3 << 20, hasOlderCopy: true,
                lastFreezeMilliseconds: 38.25)
        }
        let output = try await node.kars("handoff", "a", "--to", "cloud", "--dry-run")
        #expect(output.status == 0)
        #expect(output.out.contains("12 files, 3.0 MiB") && output.out.contains("38.3 ms"))
        #expect(output.out.hasSuffix("Nothing was changed; cloud would take it.\n"))
        #expect(try await node.kars("handoff", "a", "--to", "cloud", "--dry-run", "-o", "json").out.contains(#""bytes" : 3145728"#))
        #expect(try await node.kars("handoff", "a", "--dry-run").status == 2)
        #expect(try await node.kars("handoff", "a", "--to", "cloud", "--dry-run", "--no-wait").status == 2)
        #expect(node.requests(StartHandoff.self).isEmpty)
        await node.close()
    }

    @Test func eventsAreLinesOfJSONUpToTheEnd() async throws {
        let node = try await node([.copying, .copying, .freezing, .complete])
        let output = try await node.kars("handoff", "a", "--to", "cloud", "--events")
        #expect(output.status == 0 && output.err == "")
        let phases = try output.out.split(separator: "\n").map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return object?["phase"] as? String
        }
        #expect(phases == ["copying", "freezing", "complete"])
        await node.close()
        let aborted = try await self.node([.copying, .aborted])
        let failed = try await aborted.kars("handoff", "a", "--to", "cloud", "--events")
        #expect(failed.status == 1 && failed.out.contains("\"aborted\""))
        #expect(failed.err.contains("was aborted"))
        #expect(try await aborted.kars("handoff", "a", "--events", "--no-wait", "--to", "x").status == 2)
        await aborted.close()
    }

    @Test func aRoundIsShownOnATerminalAsItGoes() async throws {
        let node = try await ScriptedNode()
        let looks = Mutex(0)
        node.on(StartHandoff.self) { _ in ScriptedNode.move(.copying) }
        node.on(HandoffStatus.self) { _ in
            let look = looks.withLock { $0 += 1; return $0 }
            var move = ScriptedNode.move(look < 4 ? .copying : .complete)
            (move.round, move.roundBytes, move.roundMovedBytes) = (1, 512 << 20, look * 64 << 20)
            move.movedBytes = look * 64 << 20
            return move
        }
        let terminal = try BuiltProgram.onTerminal(["handoff", "a", "--to", "cloud"], home: node.home)
        try await terminal.expect("round 1: 64.0 MiB of 512.0 MiB")
        try await terminal.expect("round 1: 192.0 MiB of 512.0 MiB, ")
        try await terminal.expect("MiB/s, ")
        try await terminal.expect("a lives at cloud now")
        #expect(await terminal.wait() == 0)
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
