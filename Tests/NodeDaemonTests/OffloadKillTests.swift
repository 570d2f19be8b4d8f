import Foundation
import MeshNode
import TestSupport
import Testing

/// Offloads whose nodes are killed: each ends once, done or with a reason, and nothing of it is left.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized, .timeLimit(.minutes(10)))
struct OffloadKillTests {
    @Test func theAgentsPeerIsKilledWhileItWorksAndTheWorkGoesOn() async throws {
        let world = try await OffloadWorld()
        let started = try await world.start("wait for go")
        try await world.reaches(.working, started.id)
        await world.cloud.kill()
        try await world.cloud.restart()
        #expect(try await world.status(started.id).phase == .working)
        #expect(try await world.account().slotsUsed == 1)
        try world.give("go", to: started)
        let end = try await world.end(of: started.id)
        #expect(end.phase == .done && end.result?.summary == "go is here.", "\(end.message ?? "")")
        try await world.isEmpty()
        let account = try await world.account()
        #expect(account.offloadsCompleted == 1 && account.offloadsFailed == nil)
        #expect(account.tokensUsed == end.result?.tokens?.total)
        await world.stop()
    }

    @Test func anAgentThatEndsWhileItWorksIsAskedAgain() async throws {
        struct Record: Decodable { let initPid: Int32 }
        let world = try await OffloadWorld()
        let started = try await world.start("wait for go")
        try await world.reaches(.working, started.id)
        let file = URL(fileURLWithPath: "\(world.cloud.home)/node/sandboxes/\(started.sandbox)/run.json")
        func process() -> Int32? {
            (try? Data(contentsOf: file)).flatMap { try? JSONDecoder().decode(Record.self, from: $0).initPid }
        }
        let pid = try #require(process())
        Glibc.kill(pid, SIGKILL)
        try await waitUntil("another start") { process().map { $0 != pid } ?? false }
        try world.give("go", to: started)
        let end = try await world.end(of: started.id)
        #expect(end.phase == .done && end.result?.summary == "go is here.", "\(end.message ?? "")")
        try await world.isEmpty()
        // One that is destroyed here by hand is missed at once.
        let second = try await world.start("wait for ever")
        try await world.reaches(.working, second.id)
        _ = try await world.cloud.client.call(DestroySandbox(sandboxName: second.sandbox))
        let missed = try await world.end(of: second.id)
        #expect(missed.phase == .failed && missed.message == "the sandbox is gone")
        try await world.isEmpty()
        await world.stop()
    }

    @Test func aTimeThatRanOutWhileItsPeerWasDownEndsIt() async throws {
        let world = try await OffloadWorld()
        let started = try await world.start("wait for ever", timeout: 3)
        try await world.reaches(.working, started.id)
        await world.cloud.kill()
        let deadline = started.createdAt.addingTimeInterval(4)
        try await waitUntil("its time is up") { Date() > deadline }
        try await world.cloud.restart()
        let end = try await world.end(of: started.id)
        #expect(end.phase == .failed && end.message?.contains("not done within 3 s") == true)
        try await world.isEmpty()
        await world.stop()
    }

    @Test func whoAskedIsKilledAndFindsItsResult() async throws {
        let world = try await OffloadWorld()
        let source = world.mesh.folder.file("papers")
        try OffloadTests.fill(source)
        let started = try await world.start("wait for go", files: [source])
        try await world.reaches(.working, started.id)
        await world.local.kill()
        try world.give("go", to: started)
        try await waitUntil("the work is done meanwhile") {
            try await world.cloud.client.call(ListOffloads(role: .served)).first?.phase == .done
        }
        // What was made waits, and holds its slot.
        #expect(try await world.account().slotsUsed == 1)
        try await world.local.restart()
        #expect(try await world.end(of: started.id).result?.summary == "go is here.")
        try await world.isEmpty()
        await world.stop()
    }

    @Test func whatNobodyCollectsGoesAfterAWhile() async throws {
        let world = try await OffloadWorld(cloudArguments: ["--offload-keep", "1s"])
        let started = try await world.start("wait for go")
        try await world.reaches(.working, started.id)
        await world.local.kill()
        try world.give("go", to: started)
        try await world.isEmpty()
        try await world.local.restart()
        let end = try await world.end(of: started.id)
        #expect(end.phase == .failed && end.message?.contains("nobody collected it") == true)
        await world.stop()
    }

    /// Kills one of the peers at random moments, from the first message to the cleaning.
    @Test func killedAnywhereEachTaskIsDoneOnceOrFailsWithAReason() async throws {
        let world = try await OffloadWorld(slots: 2)
        let source = world.mesh.folder.file("papers")
        try OffloadTests.fill(source)
        var random = SeededRandom(seed: TortureTests.seed)
        let seed = "seed \(TortureTests.seed)"
        let rounds = TortureTests.isFull ? 40 : 3
        var done = 0
        var tokens = 0
        for round in 0..<rounds {
            let started = try await world.start("say something", files: round % 2 == 0 ? [source] : [])
            // Anywhere in its life, which takes a second or a few.
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...(round % 2 == 0 ? 3_000 : 800), using: &random)))
            let victim = Bool.random(using: &random) ? world.cloud : world.local
            await victim.kill()
            try await victim.restart()
            let end = try await world.end(of: started.id)
            switch end.phase {
            case .done:
                done += 1
                tokens += end.result?.tokens?.total ?? 0
                #expect(end.result?.summary.hasSuffix("This is our first turn.") == true, "round \(round), \(seed)")
            case .failed:
                #expect(end.message?.isEmpty == false, "round \(round), \(seed)")
            default: Issue.record("round \(round) ended as \(end.phase), \(seed)")
            }
            try await world.isEmpty()
        }
        let account = try await world.account()
        #expect(account.offloadsCompleted ?? 0 == done, "\(seed)")
        #expect((account.offloadsCompleted ?? 0) + (account.offloadsFailed ?? 0) == rounds, "\(seed)")
        #expect(account.tokensUsed ?? 0 >= tokens)
        #expect(done > 0, "\(seed)")
        await world.stop()
    }
}
