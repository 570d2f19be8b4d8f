import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Testing
import Transport

@testable import Handoff

/// What a taker does with givers that lie, repeat themselves, fall silent or change their minds.
struct TakerTests {
    static func run(_ body: (TakerWorld) async throws -> Void) async throws {
        let world = try await TakerWorld()
        do { try await body(world) } catch {
            await world.stop()
            throw error
        }
        await world.stop()
    }

    static func refused(
        _ code: OperationFailure.Code, _ words: String = "", _ body: () async throws -> some Sendable,
        location: SourceLocation = #_sourceLocation
    ) async {
        do {
            _ = try await body()
            Issue.record("it was accepted", sourceLocation: location)
        } catch {
            let failure = error as? OperationFailure
            #expect(failure?.code == code, "\(error)", sourceLocation: location)
            #expect(words.isEmpty || failure?.message.contains(words) == true, "\(error)", sourceLocation: location)
        }
    }

    @Test(arguments: ["", "..", "/", "a/../../b", "0123456", String(repeating: "a", count: 65), "é0123456"])
    func anIdThatIsNoFoldersNameIsRefused(_ id: String) async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let first = giver.offer("other")
            _ = try await world.incoming.take(first, from: giver.caller)
            await Self.refused(.invalid, "id") {
                try await world.incoming.take(giver.offer(id: id), from: giver.caller)
            }
            #expect(world.moveFolders == [first.id])
        }
    }

    @Test func anOfferUnderTheIdOfAnotherMoveChangesNothing() async throws {
        try await Self.run { world in
            let giver = try await world.giver(), liar = try await world.giver()
            let own = MoveRecord(
                role: .giver,
                progress: HandoffProgress(
                    id: FrameID.make(), sandbox: "mine", direction: "out", peer: "liar",
                    peerDID: liar.peer.did.text, startedAt: Date()),
                peer: PeerIdentity(key: liar.peer.publicKey), lineage: giver.agent.did, epoch: 2,
                oldAgent: giver.agent.did)
            try await world.services.journal.write(own)
            await Self.refused(.invalid, "id") {
                try await world.incoming.take(liar.offer(id: own.id), from: liar.caller)
            }
            #expect(try await world.services.journal.move(own.id)?.role == .giver)
            let theirs = giver.offer()
            _ = try await world.incoming.take(theirs, from: giver.caller)
            await Self.refused(.invalid, "id") {
                try await world.incoming.take(liar.offer("b", id: theirs.id), from: liar.caller)
            }
        }
    }

    @Test func anAgentIsTakenFromItsHomeAloneAndWithTheNextEpochAlone() async throws {
        try await Self.run { world in
            let giver = try await world.giver(), liar = try await world.giver()
            let offers = [
                liar.offer(lineage: giver.agent.did), liar.offer(lineage: giver.agent.did, key: giver.agent.publicKey),
                giver.offer(key: liar.agent.publicKey), giver.offer(lineage: Identity.generate().did),
            ]
            await Self.refused(.refused) { try await world.incoming.take(offers[0], from: liar.caller) }
            await Self.refused(.refused) { try await world.incoming.take(offers[1], from: liar.caller) }
            await Self.refused(.refused) { try await world.incoming.take(offers[2], from: giver.caller) }
            await Self.refused(.refused) { try await world.incoming.take(offers[3], from: giver.caller) }
            for epoch in [Int.min, -1, 0, 1, 3, Int.max] {
                await Self.refused(.refused) {
                    try await world.incoming.take(giver.offer(epoch: epoch), from: giver.caller)
                }
            }
            for bytes in [Int.max, 1 << 62] {
                await Self.refused(.noSpace) {
                    try await world.incoming.take(giver.offer(bytes: bytes), from: giver.caller)
                }
            }
            #expect(world.moveFolders.isEmpty)
            // What was refused holds no place and no name.
            _ = try await world.incoming.take(giver.offer(bytes: -1), from: giver.caller)
        }
    }

    @Test func whileAMoveIsUnderWayItsNameIsTaken() async throws {
        try await Self.run { world in
            let giver = try await world.giver(), other = try await world.giver()
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            await Self.refused(.conflict) { try await world.services.sandboxes.create(CreateSandbox(sandboxName: "a")) }
            await Self.refused(.conflict) { try await world.incoming.take(other.offer(), from: other.caller) }
            _ = try await world.incoming.cancel(CancelMove(id: offer.id), from: giver.caller)
            _ = try await world.incoming.take(other.offer(), from: other.caller)
        }
    }

    @Test func ofTwoOffersAtOnceUnderOneNameOneIsTaken() async throws {
        try await Self.run { world in
            let givers = [try await world.giver(), try await world.giver(), try await world.giver()]
            let incoming = world.incoming
            let taken = await withTaskGroup(of: Bool.self) { group in
                for giver in givers {
                    group.addTask { (try? await incoming.take(giver.offer(), from: giver.caller)) != nil }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(taken == 1)
            #expect(world.moveFolders.count == 1)
        }
    }

    @Test func anOfferAnewEndsTheOneBeforeAndWithdrawsItsKey() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let first = giver.offer()
            let answer = try await world.incoming.take(first, from: giver.caller)
            try await world.copy(first.id, from: giver)
            _ = try await world.incoming.build(BuildTree(id: first.id, state: giver.state(), difference: nil), from: giver.caller)
            let second = giver.offer()
            _ = try await world.incoming.take(second, from: giver.caller)
            #expect(try await world.services.journal.move(first.id)?.progress.phase == .aborted)
            #expect(world.moveFolders == [second.id])
            try await waitUntil("the first key is withdrawn") {
                try await world.registry.agent(answer.newKey.did) == nil
            }
            try await waitUntil("its secret is gone") { try await world.services.journal.key(of: first.id) == nil }
            #expect(try await world.services.journal.token(of: first.id) == nil)
        }
    }

    @Test func stepsOutOfOrderAndAtOnceAreRefused() async throws {
        try await Self.run { world in
            let giver = try await world.giver(), stranger = try await world.giver()
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            let (incoming, id) = (world.incoming, offer.id)
            await Self.refused(.invalid) { try await incoming.build(BuildTree(id: id, state: nil, difference: nil), from: giver.caller) }
            await Self.refused(.invalid) { try await incoming.missing(ListMissing(id: id, limit: 1), from: giver.caller) }
            for (round, offset) in [(0, 1), (1, 5), (2, 0), (Int.max, 0), (-1, 0)] {
                await Self.refused(.invalid) {
                    try await incoming.take(
                        SendManifest(id: id, round: round, offset: offset, isLast: true, data: WireBytes([])),
                        from: giver.caller)
                }
            }
            let root = try await world.copy(id, from: giver)
            await Self.refused(.notFound) {
                try await incoming.build(BuildTree(id: id, state: nil, difference: nil), from: stranger.caller)
            }
            let built = await withTaskGroup(of: String?.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        try? await incoming.build(BuildTree(id: id, state: nil, difference: nil), from: giver.caller).root
                    }
                }
                return await group.reduce(into: [String?]()) { $0.append($1) }
            }
            // Each that ran built all of it.
            #expect(built.contains(root) && built.allSatisfy { $0 == nil || $0 == root })
            let promise = BuildTree(id: id, state: giver.state(), difference: nil)
            #expect(try await incoming.build(promise, from: giver.caller).root == root)
            await Self.refused(.invalid) { try await incoming.build(promise, from: giver.caller) }
            _ = try await incoming.cancel(CancelMove(id: id), from: giver.caller)
        }
    }

    @Test func aCancellationDuringTheBuildLeavesNothing() async throws {
        try await Self.run { world in
            for _ in 1...5 {
                let giver = try await world.giver()
                let offer = giver.offer()
                _ = try await world.incoming.take(offer, from: giver.caller)
                try await world.copy(offer.id, from: giver)
                let incoming = world.incoming
                async let promise = try? incoming.build(
                    BuildTree(id: offer.id, state: giver.state(), difference: nil), from: giver.caller)
                _ = try await incoming.cancel(CancelMove(id: offer.id), from: giver.caller)
                _ = await promise
                #expect(try await world.services.journal.move(offer.id)?.progress.phase == .aborted)
                #expect(world.moveFolders.isEmpty)
            }
            #expect(try await world.services.journal.unfinished().isEmpty)
        }
    }

    @Test func aStateBeyondItsBoundsIsNotKept() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            try await world.copy(offer.id, from: giver)
            let states = [
                giver.state(token: ""), giver.state(token: "two\nlines\nof a token"),
                giver.state(token: String(repeating: "x", count: 300)),
                giver.state(formerHomes: Array(repeating: giver.peer.did, count: 65)),
            ]
            for state in states {
                await Self.refused(.invalid, "bounds") {
                    try await world.incoming.build(BuildTree(id: offer.id, state: state, difference: nil), from: giver.caller)
                }
            }
        }
    }

    @Test func aPromiseOutlivesARestartAndIsGivenAgain() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            let root = try await world.copy(offer.id, from: giver)
            let promise = BuildTree(id: offer.id, state: giver.state(), difference: nil)
            _ = try await world.incoming.build(promise, from: giver.caller)
            try await world.restart()
            // The giver did not hear the answer and asks again.
            #expect(try await world.incoming.build(promise, from: giver.caller).root == root)
            await Self.refused(.conflict) { try await world.services.sandboxes.create(CreateSandbox(sandboxName: "a")) }
            #expect(world.moveFolders == [offer.id])
        }
    }

    @Test func whatWasNotPromisedIsForgottenAtARestartWithItsKeyAndFolder() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let offer = giver.offer()
            let answer = try await world.incoming.take(offer, from: giver.caller)
            try await world.copy(offer.id, from: giver)
            try FileManager.default.createDirectory(
                atPath: world.folder.file("moves/00000000-left-over/tree"), withIntermediateDirectories: true)
            try await world.restart()
            #expect(world.moveFolders.isEmpty)
            await Self.refused(.notFound) {
                try await world.incoming.build(BuildTree(id: offer.id, state: giver.state(), difference: nil), from: giver.caller)
            }
            try await waitUntil("the key is withdrawn") { try await world.registry.agent(answer.newKey.did) == nil }
            _ = try await world.incoming.take(giver.offer(), from: giver.caller)
        }
    }

    @Test func noCommitCountsWithoutTheRegistryAndNoCancellationAfterIt() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let offer = giver.offer()
            let answer = try await world.incoming.take(offer, from: giver.caller)
            try await world.copy(offer.id, from: giver)
            let commit = CommitMove(id: offer.id), cancel = CancelMove(id: offer.id)
            await Self.refused(.conflict, "not ready") { try await world.incoming.commit(commit, from: giver.caller) }
            _ = try await world.incoming.build(BuildTree(id: offer.id, state: giver.state(), difference: nil), from: giver.caller)
            await Self.refused(.conflict, "registry") { try await world.incoming.commit(commit, from: giver.caller) }
            try await world.writeHome(giver, answer)
            await Self.refused(.conflict, "committed") { try await world.incoming.cancel(cancel, from: giver.caller) }
            #expect(world.moveFolders == [offer.id])
        }
    }

    @Test func tokenAndKeyOnTheWayAreSealedAndTheDormantCopysStay() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let token = "an-unmistakable-token-0123456789"
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            try await world.copy(offer.id, from: giver)
            try await world.services.sandboxes.keepSecrets(
                of: "a", seed: giver.agent.seed, token: "the-dormant-copys-token")
            _ = try await world.incoming.build(
                BuildTree(id: offer.id, state: giver.state(token: token), difference: nil), from: giver.caller)
            #expect(try await world.services.sandboxes.token(of: "a") == "the-dormant-copys-token")
            #expect(try await world.services.journal.token(of: offer.id) == token)
            for file in ["node.db", "node.db-wal"] {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: world.folder.file(file)))
                #expect(bytes.range(of: Data(token.utf8)) == nil)
            }
        }
    }

    /// The crash comes after the token can be known and before the agent answers; then the registry is away.
    @Test(arguments: [true, false])
    func clientsWaitForACopyWhoseInstallationACrashCutOff(isRecorded: Bool) async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let offer = giver.offer()
            let answer = try await world.incoming.take(offer, from: giver.caller)
            try await world.copy(offer.id, from: giver)
            let state = giver.state()
            _ = try await world.incoming.build(BuildTree(id: offer.id, state: state, difference: nil), from: giver.caller)
            try await world.writeHome(giver, answer)
            let prepared = try #require(try await world.services.journal.move(offer.id)?.prepared)
            let sandboxes = world.services.sandboxes
            try await sandboxes.keepSecrets(
                of: "a", seed: giver.agent.seed, token: state.gatewayToken)
            if isRecorded { try await sandboxes.save(prepared) }
            await world.stopRegistry()
            #expect(world.services.gate.route(of: "a") == nil)

            try await world.restart()
            #expect(world.services.gate.route(of: "a") == .held)
            let gate = world.services.gate
            let waiting = Task {
                await gate.handle(
                    HTTPRequest(
                        method: "GET", path: "/agents/a/healthz",
                        headers: ["authorization": "Bearer \(state.gatewayToken)"], body: [], remoteAddress: "client"))
            }
            try await waitUntil("the request waits") { gate.heldCount("a") == 1 }
            gate.release("a", to: .stopped)
            #expect(await waiting.value.status == 503)
        }
    }

    @Test func anAgentThatIsOnlyPromisedHasNoAddressAfterARestart() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            try await world.copy(offer.id, from: giver)
            _ = try await world.incoming.build(
                BuildTree(id: offer.id, state: giver.state(), difference: nil), from: giver.caller)
            try await world.restart()
            #expect(world.services.gate.route(of: "a") == nil)
        }
    }

    @Test func aRecordOfDecisionsThatDoesNotHoldIsRefused() async throws {
        try await Self.run { world in
            let giver = try await world.giver(), other = try await world.giver()
            let folder = TemporaryFolder()
            let store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
            defer { store.close() }
            let audit = AgentAudit(store: store), lineage = giver.agent.did
            for number in 1...3 {
                try await audit.append(lineage, agent: "operator", action: "op\(number)", decision: "success")
            }
            let rows = try await audit.rows(of: lineage, after: 0, limit: 10)
            let head = try await audit.seal(lineage, epoch: 2, signer: giver.peer)
            let foreign = try await audit.seal(lineage, epoch: 2, signer: other.peer)
            let late = try await audit.seal(lineage, epoch: 3, signer: giver.peer)
            let bad = [
                AuditSegment(), AuditSegment(rows: rows), AuditSegment(rows: rows, heads: [foreign]),
                AuditSegment(rows: rows, heads: [late]), AuditSegment(rows: [rows[0], rows[2]], heads: [head]),
                AuditSegment(rows: Array(rows.dropLast()), heads: [head]),
            ]
            for segment in bad {
                let offer = giver.offer()
                _ = try await world.incoming.take(offer, from: giver.caller)
                await Self.refused(.refused, "does not hold") {
                    try await world.incoming.take(
                        SendAudit(id: offer.id, piece: segment, isLast: true), from: giver.caller)
                }
            }
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            let long = AuditSegment(rows: Array(repeating: rows[0], count: SendAudit.pieceRows + 1))
            await Self.refused(.invalid, "bounds") {
                try await world.incoming.take(SendAudit(id: offer.id, piece: long), from: giver.caller)
            }
            await Self.refused(.notFound) {
                try await world.incoming.take(SendAudit(id: offer.id), from: other.caller)
            }
            let good = AuditSegment(rows: rows, heads: [head])
            let answer = try await world.incoming.take(
                SendAudit(id: offer.id, piece: good, isLast: true), from: giver.caller)
            #expect(answer.end.sequence == 0 && answer.end.hash.isEmpty)
            #expect(try await world.services.journal.audit(of: offer.id) == good)
            // Nothing of it counts before the agent is here.
            #expect(try await world.services.sandboxes.audit.whole(of: lineage) == AuditSegment())
        }
    }

    @Test func noGiverFillsThePeerWithRowsOfARecord() async throws {
        try await Self.run { world in
            let giver = try await world.giver()
            let offer = giver.offer()
            _ = try await world.incoming.take(offer, from: giver.caller)
            let folder = TemporaryFolder()
            let store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
            defer { store.close() }
            let audit = AgentAudit(store: store)
            try await audit.append(giver.agent.did, agent: "operator", action: "op", decision: "success")
            let row = try #require(try await audit.rows(of: giver.agent.did, after: 0, limit: 1).first)
            let piece = AuditSegment(rows: Array(repeating: row, count: SendAudit.pieceRows))
            for _ in 1...(AgentAudit.keptRows / SendAudit.pieceRows) {
                _ = try await world.incoming.take(SendAudit(id: offer.id, piece: piece), from: giver.caller)
            }
            await Self.refused(.invalid, "bounds") {
                try await world.incoming.take(SendAudit(id: offer.id, piece: piece), from: giver.caller)
            }
            // Nor with signed heads, of which there is one a move.
            let head = try await audit.seal(giver.agent.did, epoch: 2, signer: giver.peer)
            let heads = AuditSegment(heads: Array(repeating: head, count: SendAudit.pieceRows))
            for _ in 1...(AgentAudit.keptRows / SendAudit.pieceRows) {
                _ = try await world.incoming.take(SendAudit(id: offer.id, piece: heads), from: giver.caller)
            }
            await Self.refused(.invalid, "bounds") {
                try await world.incoming.take(SendAudit(id: offer.id, piece: heads), from: giver.caller)
            }
        }
    }
}
