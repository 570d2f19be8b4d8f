import Foundation
import MeshIdentity
import MeshNode
import Storage
import TestSupport
import Testing

/// Offloads between two nodes, all of it real processes.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized, .timeLimit(.minutes(5)))
struct OffloadTests {
    @Test func aTaskGoesThereWithItsFilesAndComesBackByteForByte() async throws {
        let world = try await OffloadWorld()
        let source = world.mesh.folder.file("papers")
        try Self.fill(source)
        let single = world.mesh.folder.file("note.txt")
        try Data("a note".utf8).write(to: URL(fileURLWithPath: single))
        let started = try await world.start("return files", files: [source, single])
        let end = try await world.end(of: started.id)
        #expect(end.phase == .done, "\(end.message ?? "")")
        let result = try #require(end.result)
        #expect(result.summary == "Returned 2 names." && !result.isCut)
        #expect(
            Set(result.files.map(\.path)) == ["note.txt", "papers/a", "papers/deep/er/b", "papers/empty", "papers/run"])
        let output = world.mesh.folder.file("output")
        _ = try await world.local.client.call(ShowOffload(id: started.id, folder: output))
        #expect(try Self.content(output + "/papers") == Self.content(source))
        #expect(try Data(contentsOf: URL(fileURLWithPath: output + "/note.txt")) == Data("a note".utf8))
        #expect(access(output + "/papers/run", X_OK) == 0)
        // What it left there is gone, and it is counted.
        try await world.isEmpty()
        let account = try await world.account()
        #expect(account.offloadsCompleted == 1 && account.offloadsFailed == nil && account.lastOffloadAt != nil)
        #expect(account.tokensUsed == result.tokens?.total && account.tokensUsed ?? 0 > 0)
        let served = try await world.cloud.client.call(ListOffloads(role: .served))
        #expect(served.map(\.phase) == [.cleaned] && served[0].peer == "local" && served[0].task == "return files")
        // A folder that is not empty takes no files.
        await #expect { try await world.local.client.call(ShowOffload(id: started.id, folder: output)) } throws: {
            ($0 as? OperationFailure)?.code == .invalid
        }
        // One that is over is forgotten with its files.
        _ = try await world.local.client.call(CancelOffload(id: String(started.id.prefix(8))))
        #expect(try await world.local.client.call(ListOffloads(role: .asked)).isEmpty)
        #expect(Self.kept(world.local.home + "/node/offloads/asked").isEmpty)
        await world.stop()
    }

    @Test func oneMoreThanTheSlotsIsRefusedUntilOneIsFree() async throws {
        let world = try await OffloadWorld(slots: 1)
        let first = try await world.start("wait for go")
        await #expect { try await world.start("hello") } throws: {
            ($0 as? OperationFailure)?.code == .refused && ($0 as? OperationFailure)?.message.contains("slot") == true
        }
        #expect(try await world.local.client.call(ListOffloads(role: .asked)).map(\.id) == [first.id])
        try await world.reaches(.working, first.id)
        let account = try await world.account()
        #expect(account.slotsUsed == 1 && account.activeSandboxes == [first.sandbox])
        try world.give("go", to: first)
        #expect(try await world.end(of: first.id).result?.summary == "go is here.")
        try await world.isEmpty()
        let second = try await world.start("hello")
        #expect(try await world.end(of: second.id).phase == .done)
        await world.stop()
    }

    @Test func ofManyRequestsForOneSlotExactlyOneGetsIt() async throws {
        let world = try await OffloadWorld(slots: 1)
        let client = world.local.client
        let request = StartOffload(
            task: "wait for go", target: "cloud", files: [], preferences: OffloadPreferences(timeout: 300))
        let outcomes = await withTaskGroup(of: Result<OffloadProgress, any Error>.self) { group in
            for _ in 0..<6 { group.addTask { await Result { try await client.call(request) } } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let taken = outcomes.compactMap { try? $0.get() }
        #expect(taken.count == 1)
        for case .failure(let error) in outcomes { #expect((error as? OperationFailure)?.code == .refused) }
        #expect(try await world.account().slotsUsed == 1)
        _ = try await world.local.client.call(CancelOffload(id: taken[0].id))
        try await world.isEmpty()
        await world.stop()
    }

    @Test func aSpentBudgetRefusesWhatComesNext() async throws {
        // "hello there friend" is 5 tokens, and its answer is cut to the 13 that are left.
        let world = try await OffloadWorld(slots: 4, budget: 18)
        let first = try await world.start("hello there friend", tokens: 1_000)
        #expect(first.allowance == 18)
        // What runs has set all of it aside.
        await #expect { try await world.start("hello") } throws: {
            ($0 as? OperationFailure)?.message.contains("token budget of 18 is spent") == true
        }
        let end = try await world.end(of: first.id)
        #expect(end.result?.tokens?.prompt == 5 && end.result?.tokens?.total ?? 0 <= 18)
        try await world.isEmpty()
        let spent = try await world.account().tokensUsed ?? 0
        #expect(spent == end.result?.tokens?.total)
        // What is left takes no task of this length: the agent refuses it, which spends the rest.
        if spent < 18 {
            let second = try await world.start("hello there friend")
            #expect(try await world.end(of: second.id).phase == .failed)
        }
        await #expect { try await world.start("hello") } throws: {
            ($0 as? OperationFailure)?.message.contains("token budget of 18 is spent") == true
        }
        #expect(try await world.account().tokensUsed == 18)
        await world.stop()
    }

    @Test func whatTakesTooLongEndsThereAndFreesItsSlot() async throws {
        let world = try await OffloadWorld()
        let started = try await world.start("wait for ever", timeout: 1)
        let end = try await world.end(of: started.id)
        #expect(end.phase == .failed && end.message?.contains("not done within 1 s") == true)
        try await world.isEmpty()
        let account = try await world.account()
        #expect(account.offloadsFailed == 1 && account.offloadsCompleted == nil)
        await world.stop()
    }

    @Test func whoAskedMayEndItAndTheSlotIsFreeAfterwards() async throws {
        let world = try await OffloadWorld()
        let started = try await world.start("wait for ever")
        try await world.reaches(.working, started.id)
        let ended = try await world.local.client.call(CancelOffload(id: started.id))
        #expect(ended.phase == .cleaned)
        try await world.isEmpty()
        // The agent had the task and told nothing, so all that it was allowed counts.
        #expect(try await world.account().tokensUsed == started.allowance)
        #expect(try await world.account().offloadsFailed == 1)
        #expect(try await world.end(of: try await world.start("hello").id).phase == .done)
        await world.stop()
    }

    @Test func whatRunsFinishesWhenItsPairingIsRevokedAndNothingNewBegins() async throws {
        let world = try await OffloadWorld()
        let started = try await world.start("wait for go")
        try await world.reaches(.working, started.id)
        _ = try await world.cloud.client.call(RevokePairing(pairingName: OffloadWorld.pairing))
        try await waitUntil("the requester hears of it") {
            try await world.status(started.id).message?.contains("revoked") == true
        }
        await #expect(throws: OperationFailure.self) { try await world.start("hello") }
        // Also when its session is lost, and it needs a new one.
        await world.local.kill()
        let store = try NodeStore(
            folder: world.local.home + "/node", sealer: KeySealers.machineKey(folder: world.local.home))
        let forgotten = try await store.database.write {
            try $0.execute("DELETE FROM secret WHERE substr(name, 1, 8) = 'session:'")
            return $0.changes
        }
        #expect(forgotten > 0)
        store.close()
        try await world.local.restart()
        try world.give("go", to: started)
        let end = try await world.end(of: started.id)
        #expect(end.phase == .done && end.result?.summary == "go is here.", "\(end.message ?? "")")
        try await world.isEmpty()
        await world.stop()
    }

    @Test func aRevocationMayEndWhatRuns() async throws {
        let world = try await OffloadWorld()
        let started = try await world.start("wait for ever")
        try await world.reaches(.working, started.id)
        _ = try await world.cloud.client.call(
            RevokePairing(pairingName: OffloadWorld.pairing, stopOffloads: true))
        #expect(try await world.cloud.client.call(ListSandboxes()).isEmpty)
        let end = try await world.end(of: started.id)
        #expect(end.phase == .failed && end.message?.contains("revoked") == true)
        try await world.isEmpty()
        await world.stop()
    }

    @Test func aPairingWithoutTheCapabilityOffloadsNothing() async throws {
        let world = try await OffloadWorld(capabilities: [.handoff])
        await #expect { try await world.start("hello") } throws: {
            ($0 as? OperationFailure)?.message.contains("does not grant offload") == true
        }
        #expect(try await world.cloud.client.call(ListOffloads(role: .served)).isEmpty)
        await world.stop()
    }

    @Test func filesBeyondTheBoundsAreRefusedBeforeAnythingRuns() async throws {
        let world = try await OffloadWorld(cloudArguments: ["--offload-mib", "1", "--offload-files", "3"])
        let large = world.mesh.folder.file("large")
        try Data(count: 2 << 20).write(to: URL(fileURLWithPath: large))
        await #expect { try await world.start("return files", files: [large]) } throws: {
            ($0 as? OperationFailure)?.code == .invalid
                && ($0 as? OperationFailure)?.message.contains("1048576") == true
        }
        let many = world.mesh.folder.file("many")
        try Self.fill(many)
        await #expect { try await world.start("return files", files: [many]) } throws: {
            ($0 as? OperationFailure)?.code == .invalid
                && ($0 as? OperationFailure)?.message.contains("3 entries") == true
        }
        #expect(try await world.account().slotsUsed == 0)
        await world.stop()
    }

    static func fill(_ folder: String) throws {
        let manager = FileManager.default
        try manager.createDirectory(atPath: folder + "/deep/er", withIntermediateDirectories: true)
        var random = SeededRandom(seed: 5)
        try Data(random.bytes(900_000)).write(to: URL(fileURLWithPath: folder + "/a"))
        try Data(random.bytes(70_001)).write(to: URL(fileURLWithPath: folder + "/deep/er/b"))
        try Data().write(to: URL(fileURLWithPath: folder + "/empty"))
        try Data("#!/bin/sh\n".utf8).write(to: URL(fileURLWithPath: folder + "/run"))
        chmod(folder + "/run", 0o755)
    }

    /// All files below a folder, with what is in them.
    static func content(_ folder: String) throws -> [String: Data] {
        var content: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder) {
            content[path] = FileManager.default.contents(atPath: folder + "/" + path) ?? Data()
        }
        return content
    }

    static func kept(_ folder: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
