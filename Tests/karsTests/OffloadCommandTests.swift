import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing

@testable import MeshNode

struct OffloadCommandTests {
    private static let id = "3f9a01bc-0000-4000-8000-000000000000"

    private static func offload(_ phase: OffloadPhase, task: String = "count", message: String? = nil) -> OffloadProgress {
        let key = Identity.generate().publicKey
        var record = OffloadRecord(
            role: .asked, peer: PeerIdentity(key: key), id: id, peerName: "cloud", pairing: "cloud", task: task,
            preferences: OffloadPreferences(timeout: 60), files: WireBytes([]), digest: "d", now: ScriptedNode.date)
        record.phase = phase
        record.message = message
        if phase == .done {
            record.outcome = OffloadOutcome(
                summary: "one\ntwo\u{1b}[31m", isCut: false, tokens: OffloadTokens(prompt: 3, completion: 4), seconds: 2,
                files: WireBytes([]))
        }
        return OffloadProgress(record, files: phase == .done ? [.init(path: "a/b", bytes: 2048)] : [])
    }

    /// A node whose offload takes one phase more at every look.
    private func node(_ phases: [OffloadPhase], message: String? = nil) async throws -> ScriptedNode {
        let node = try await ScriptedNode()
        let looks = Mutex(0)
        node.on(StartOffload.self) { Self.offload(phases[0], task: $0.task) }
        node.on(ShowOffload.self) { _ in
            let look = looks.withLock { $0 += 1; return $0 }
            return Self.offload(phases[min(look, phases.count - 1)], message: message)
        }
        node.on(ListOffloads.self) { _ in [Self.offload(.working)] }
        node.on(CancelOffload.self) { _ in Self.offload(.cleaned) }
        return node
    }

    @Test func anOffloadIsFollowedAndItsAnswerPrinted() async throws {
        let node = try await node([.validating, .spawning, .working, .done])
        let output = try await node.kars(
            "offload", "count the words", "--to", "cloud", "--file", "b.txt", "--file", "/tmp/x,y", "--timeout", "2h",
            "--max-tokens", "500", "--model", "gpt-4.1")
        #expect(output.status == 0)
        // Of the terminal's own words nothing gets through.
        #expect(output.out == "one\ntwo\\u{1b}[31m\n")
        #expect(output.err.contains("tokens: 7 (3 prompt, 4 completion)") && output.err.contains("a/b, 2.0 KiB"))
        let asked = try #require(node.requests(StartOffload.self).first)
        #expect(asked.task == "count the words" && asked.target == "cloud")
        #expect(asked.files.count == 2 && asked.files[0].hasPrefix("/") && asked.files[1] == "/tmp/x,y")
        #expect(asked.preferences == OffloadPreferences(model: "gpt-4.1", maximumTokens: 500, timeout: 7_200))
        await node.close()
    }

    @Test func theTaskComesFromAFileOrFromStandardInput() async throws {
        let node = try await node([.done])
        let file = node.home.file("task")
        try "\n  a long task \n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(try await node.kars("offload", "--task-file", file, "--to", "cloud").status == 0)
        #expect(try await node.kars("offload", "-", "--to", "cloud", input: "line one\nline two\n").status == 0)
        #expect(node.requests(StartOffload.self).map(\.task) == ["a long task", "line one\nline two"])
        for wrong in [["offload", "--to", "cloud"], ["offload", "x"], ["offload", "x", "--task-file", file, "--to", "c"]] {
            let output = try await BuiltProgram.run(wrong, home: node.home)
            #expect(output.status == 2 && output.err.split(separator: "\n").count == 1, "\(wrong)")
        }
        try Data([0xff, 0xfe]).write(to: URL(fileURLWithPath: file))
        #expect(try await node.kars("offload", "--task-file", file, "--to", "cloud").status == 2)
        try Data(count: 32 << 10 + 1).write(to: URL(fileURLWithPath: file))
        #expect(try await node.kars("offload", "--task-file", file, "--to", "cloud").status == 2)
        #expect(try await node.kars("offload", "x", "--to", "cloud", "--output", node.home.path).status == 2)
        #expect(node.requests(StartOffload.self).count == 2)
        await node.close()
    }

    @Test func noWaitPrintsTheIDAndReturns() async throws {
        let node = try await node([.validating])
        let output = try await node.kars("offload", "x", "--to", "cloud", "--no-wait")
        #expect(output.status == 0 && output.out == Self.id + "\n")
        #expect(node.requests(ShowOffload.self).isEmpty)
        let json = try await node.kars("offload", "x", "--to", "cloud", "--no-wait", "-o", "json")
        #expect(json.out.contains(#""phase" : "validating""#))
        await node.close()
    }

    @Test func aFailedOffloadFailsWithItsReason() async throws {
        let node = try await node([.working, .failed], message: "the sandbox is gone")
        let output = try await node.kars("offload", "x", "--to", "cloud")
        #expect(output.status == 1 && output.out == "")
        #expect(output.err == "kars offload: the offload \(Self.id) failed: the sandbox is gone\n")
        await node.close()
    }

    @Test func interruptingTheCommandLeavesTheOffloadAlone() async throws {
        let node = try await node([.working])
        let command = try BuiltProgram.start(["offload", "x", "--to", "cloud"], home: node.home)
        try await waitUntil("the command watches") { node.requests(ShowOffload.self).count > 1 }
        command.signal(SIGINT)
        let output = await command.wait()
        #expect(output.status == 130 && output.err.contains("The offload goes on"))
        #expect(node.requests(CancelOffload.self).isEmpty)
        await node.close()
    }

    @Test func offloadsAreListedShownCollectedAndCancelled() async throws {
        let node = try await node([.working, .working, .done])
        let list = try await node.kars("offload", "list")
        #expect(list.out.contains("3f9a01bc") && list.out.contains("working") && list.out.contains("count"))
        #expect(try await node.kars("offload", "status", "3f9a").out.contains("offload-3f9a01bc"))
        let folder = node.home.file("out")
        let result = try await node.kars("offload", "result", "3f9a", "--output", folder, "-o", "json")
        #expect(result.status == 0 && result.out.contains(#""summary" : "one"#))
        #expect(node.requests(ShowOffload.self).map(\.folder) == [nil, folder])
        #expect(try await node.kars("offload", "cancel", "3f9a").out == "ended the offload \(Self.id)\n")
        let open = try await self.node([.working])
        let early = try await open.kars("offload", "result", "3f9a")
        #expect(early.status == 1 && early.err.contains("not done"))
        await node.close()
        await open.close()
    }

    @Test func theMeshListShowsWhatRunsForOthersAndPairingsTheirCounts() async throws {
        let node = try await ScriptedNode()
        node.on(ListPairings.self) { _ in [] }
        node.on(ListSandboxes.self) { _ in [] }
        node.on(ListOffloads.self) { _ in
            [Self.offload(.working, task: String(repeating: "long ", count: 40)), Self.offload(.cleaned)]
        }
        node.on(InspectPairing.self) { request in
            var pairing = ScriptedNode.pairing(request.pairingName)
            (pairing.slotsUsed, pairing.activeSandboxes) = (1, ["offload-3f9a01bc"])
            (pairing.tokensUsed, pairing.offloadsCompleted, pairing.offloadsFailed) = (1234, 5, 2)
            return pairing
        }
        node.on(RevokePairing.self) { ScriptedNode.pairing($0.pairingName, phase: .revoked) }
        let list = try await node.kars("mesh", "list")
        #expect(list.out.contains("offload-3f9a01bc") && list.out.contains("working") && !list.out.contains("cleaned"))
        let task = String(repeating: "long ", count: 40).prefix(79) + "…"
        #expect(list.out.contains(task))
        #expect(node.requests(ListOffloads.self).map(\.role) == [.served])
        let facts = try await node.kars("pair", "inspect", "laptop")
        for text in ["1 of 1 used", "1234 of 500000 spent", "5 completed, 2 failed", "offload-3f9a01bc"] {
            #expect(facts.out.contains(text), "\(text)")
        }
        #expect(try await node.kars("pair", "revoke", "laptop", "--stop-offloads").status == 0)
        #expect(node.requests(RevokePairing.self).map(\.stopOffloads) == [true])
        await node.close()
    }
}
