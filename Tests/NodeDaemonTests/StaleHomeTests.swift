import Foundation
import MeshIdentity
@testable import MeshNode
import Sandboxes
import TestSupport
import Testing

@testable import Handoff

/// A peer whose own record of an agent is older than the registry's.
struct StaleHomeTests {
    static func record(_ world: TakerWorld, _ giver: TakerWorld.Giver, epoch: Int) -> SandboxRecord {
        SandboxRecord(
            spec: SandboxSpec(name: "a"), lineage: giver.agent.did, agent: giver.agent.did, epoch: epoch,
            home: PeerIdentity(key: world.services.identity.publicKey), homeName: "taker", formerHomes: [],
            createdAt: Date(timeIntervalSince1970: 1_000))
    }

    @Test func anAgentThatTheRegistrySaysLivesElsewhereIsLetGo() async throws {
        try await TakerTests.run { world in
            let giver = try await world.giver()
            let stale = Self.record(world, giver, epoch: 1)
            try await world.services.sandboxes.save(stale)
            let fence = HomeFence(services: world.services)
            let corrected = try await fence.correction(of: stale)
            #expect(corrected?.home.key == giver.peer.publicKey)
            #expect(await fence.correct([stale]).isEmpty)
            #expect(try await world.services.journal.sandboxes().map(\.home.key) == [giver.peer.publicKey])
        }
    }

    @Test func aRegistryThatKnowsLessFencesNobody() async throws {
        try await TakerTests.run { world in
            let giver = try await world.giver()
            let fence = HomeFence(services: world.services)
            #expect(try await fence.correction(of: Self.record(world, giver, epoch: 2)) == nil)
            var unknown = Self.record(world, giver, epoch: 1)
            unknown.lineage = Identity.generate().did
            #expect(try await fence.correction(of: unknown) == nil)
        }
    }

    @Test func aRegistryThatIsAwayIsAskedLater() async throws {
        let world = try await TakerWorld()
        let giver = try await world.giver()
        let record = Self.record(world, giver, epoch: 1)
        await world.stopRegistry()
        #expect(await HomeFence(services: world.services).correct([record]) == ["a"])
        await world.stop()
    }

    @Test func anAgentFoundToLiveElsewhereLaterIsStoppedThen() async throws {
        try await TakerTests.run { world in
            let giver = try await world.giver()
            let stale = Self.record(world, giver, epoch: 1)
            try await world.services.sandboxes.driver.create(stale.spec)
            try await world.services.sandboxes.save(stale)
            world.services.gate.open("a", token: "t", route: .local(socket: "/nowhere"))
            await HomeFence(services: world.services).follow("a")
            #expect(try await world.services.sandboxes.record("a").home.key == giver.peer.publicKey)
            // The sandbox may be changed again.
            try await world.services.sandboxes.beginChange(of: "a")
        }
    }
}

/// What the journal of moves keeps, and in which order.
struct MoveJournalTests {
    static func move(_ id: String, _ phase: HandoffProgress.Phase, epoch: Int = 2) -> MoveRecord {
        let peer = Identity.generate()
        var record = MoveRecord(
            role: .taker,
            progress: HandoffProgress(
                id: id, sandbox: "a", direction: "in", peer: "p", peerDID: peer.did.text, startedAt: Date()),
            peer: PeerIdentity(key: peer.publicKey), lineage: peer.did, epoch: epoch, oldAgent: peer.did)
        record.progress.phase = phase
        return record
    }

    static func journal() throws -> (MoveJournal, NodeStore, TemporaryFolder) {
        let folder = TemporaryFolder()
        let store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
        return (MoveJournal(store: store), store, folder)
    }

    @Test func aMoveThatIsOverStaysOverWhateverComesLate() async throws {
        let (journal, store, folder) = try Self.journal()
        try await journal.write(Self.move("one", .copying))
        try await journal.write(Self.move("one", .aborted))
        try await journal.write(Self.move("one", .freezing))
        #expect(try await journal.move("one")?.progress.phase == .aborted)
        #expect(try await journal.unfinished().isEmpty)
        try await journal.writeIfAbsent(Self.move("one", .copying))
        #expect(try await journal.move("one")?.progress.phase == .aborted)
        store.close()
        withExtendedLifetime(folder) {}
    }

    @Test func theNewestMoveIsTheOneThatBeganLast() async throws {
        let (journal, store, folder) = try Self.journal()
        try await journal.write(Self.move("one", .copying))
        try await journal.write(Self.move("two", .copying))
        // The end of an older one does not make it the newest.
        try await journal.write(Self.move("one", .aborted))
        #expect(try await journal.newest(of: "a")?.id == "two")
        store.close()
        withExtendedLifetime(folder) {}
    }

    @Test func oldMovesGoAndUnfinishedOnesStay() async throws {
        let (journal, store, folder) = try Self.journal()
        try await journal.write(Self.move("unfinished", .copying))
        for number in 0..<MoveJournal.keptMoves + 3 { try await journal.write(Self.move("over-\(number)", .aborted)) }
        try await journal.prune()
        #expect(try await journal.move("unfinished") != nil)
        #expect(try await journal.move("over-2") == nil)
        #expect(try await journal.move("over-3") != nil)
        store.close()
        withExtendedLifetime(folder) {}
    }
}
