import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Sandboxes
import Storage

/// Gives one agent away.
///
///     copying ──▶ freezing ──▶ committing ──▶ starting ──▶ complete
///        └───────────┴─ aborted (thawed here, as if nothing had happened)
///
/// Up to `committing` every failure ends in `aborted`. In `committing` the registry's record decides: the
/// write is repeated until its outcome is certain. After it the agent's home is the taker, and this peer only
/// has to hand over the requests it holds.
actor OutgoingMove {
    /// Rounds of copying while the agent serves; more would chase an agent that writes faster than they send.
    private static let maximumRounds = 4
    /// A round that moved no more than this ends the copying.
    private static let smallRoundBytes = 1 << 20
    private static let manifestPieceBytes = 192 << 10
    /// Longest time between the first held request and the commit; shorter than a request is held.
    private static let frozenLimit = GateLimits().holdTime - .seconds(5)
    /// A last difference up to this size goes in one message; two layers of base64 keep it below a frame's bound.
    private static let differenceBytes = 384 << 10

    private let services: MoveServices
    private let sender: ChunkSender
    private(set) var record: MoveRecord
    /// Why the move is to end.
    private var ending: OperationFailure?
    /// What runs up to the commit.
    private var work: Task<Void, any Error>?
    /// Whether a write to the registry may be on its way without an answer.
    private var isWriteUncertain: Bool
    private var heldSince: ContinuousClock.Instant?
    private var lastStep: ContinuousClock.Instant?
    private var round = 0
    private var scan: ScanState?
    /// Chunks the taker is known to have.
    private var known: Set<ChunkID> = []

    init(_ record: MoveRecord, services: MoveServices) {
        self.record = record
        self.services = services
        isWriteUncertain = !GiverDecision.mayAbort(record.progress.phase)
        sender = ChunkSender(id: record.id, peer: record.peer, calls: services.calls)
    }

    var progress: HandoffProgress { record.progress }
    private var name: String { record.progress.sandbox }

    /// Runs the move to its end, whichever it is.
    func run() async {
        let work = Task {
            let offer = try await offer()
            try await copyWhileServing()
            try await freeze()
            try await prepare(offer)
        }
        self.work = work
        do { try await work.value } catch { return await abort(because: ending ?? error) }
        await commit()
    }

    /// Ends a move that this peer's stop or crash interrupted.
    func resume() async {
        switch GiverDecision.afterRestart(record.progress.phase) {
        case nil: break
        case .abort: await abort(because: OperationFailure(.failed, "this peer restarted"))
        default: await commit()
        }
    }

    /// The operator wants it to end; works until the commit begins.
    func requestAbort() throws {
        if record.progress.phase == .aborted { return }
        guard GiverDecision.mayAbort(record.progress.phase) else {
            throw OperationFailure(
                .refused, "the move of \(name) is committed and can no longer be aborted",
                hint: "move it back: 'kars handoff \(name) --to local'")
        }
        end(OperationFailure(.refused, "aborted by the operator"))
    }

    private func end(_ reason: OperationFailure) {
        if ending == nil { ending = reason }
        // A call to a taker that is silent ends at once.
        work?.cancel()
    }

    private func endIfStillFreezing() {
        guard record.progress.phase == .freezing else { return }
        end(OperationFailure(.timedOut, "the last difference did not reach the taker within \(Self.frozenLimit)"))
    }

    private func checkAborted() throws {
        if let ending { throw ending }
    }

    private func enter(_ phase: HandoffProgress.Phase) async throws {
        record.progress.phase = phase
        try await services.journal.write(record)
    }

    // MARK: Copying

    private func offer() async throws -> OfferMove.Answer {
        let sandbox = try await services.sandboxes.record(name)
        let workspace = try services.sandboxes.driver.folders(of: name).workspace
        let (manifest, state) = try await DiskWork.run {
            try WorkspaceScanner(root: workspace).scan(mode: .live)
        }
        scan = state
        record.progress.workspaceFiles = manifest.entries.count
        record.progress.workspaceBytes = Int(manifest.totalBytes)
        try await confirmHome()
        let agent = try await services.sandboxes.agentIdentity(name)
        let answer = try await services.calls.call(
            OfferMove(
                id: record.id, spec: sandbox.spec, lineage: record.lineage, agentKey: agent.publicKey,
                epoch: record.epoch, workspaceBytes: Int(manifest.totalBytes)), of: record.peer)
        record.newAgent = answer.newKey.did
        record.succession = SuccessionCertificate(
            oldKey: agent.publicKey, newKey: answer.newKey, reason: "handoff", epoch: UInt64(record.epoch),
            timestamp: answer.timestamp,
            signature: agent.sign(
                Array(
                    SuccessionCertificate.signedText(
                        old: agent.did.text, new: answer.newKey.did.text, epoch: UInt64(record.epoch),
                        timestamp: answer.timestamp).utf8)),
            proof: answer.proof.bytes)
        do { try record.succession!.verify() } catch {
            throw OperationFailure(.failed, "the taker's key does not prove itself: \(error)")
        }
        return answer
    }

    /// A peer whose own record is stale must not give away, nor freeze, what lives elsewhere.
    private func confirmHome() async throws {
        guard let home = try await services.registry.home(of: record.lineage),
            let did = try? DID(parsing: home.home), did == services.identity.did
        else {
            throw OperationFailure(.refused, "the registry does not name this peer the home of \(name)")
        }
        guard home.epoch < Int(Int32.max) else { throw OperationFailure(.failed, "the epoch of \(name) is used up") }
        record.epoch = home.epoch + 1
    }

    private func copyWhileServing() async throws {
        for _ in 1...Self.maximumRounds {
            try checkAborted()
            let sent = try await sendRound(.live)
            if sent <= Self.smallRoundBytes { break }
        }
        try checkAborted()
        _ = try await services.calls.call(BuildTree(id: record.id, state: nil, difference: nil), of: record.peer)
        try checkAborted()
    }

    /// Sends a manifest and the chunks the taker lacks.
    ///
    /// - Returns: bytes of chunks sent.
    private func sendRound(_ mode: WorkspaceScanner.Mode) async throws -> Int {
        let (manifest, reader) = try await look(mode)
        return try await sendRound(manifest, reader, isExact: mode == .frozen)
    }

    private func sendRound(_ manifest: Manifest, _ reader: ChunkReader, isExact: Bool) async throws -> Int {
        let missing = try await send(manifest.encoded())
        guard missing > 0 else {
            known = manifest.chunkIDs
            return 0
        }
        let (sent, skipped) = try await sender.sendMissing(from: reader, isExact: isExact) { [self] in
            try await checkAborted()
        }
        known = manifest.chunkIDs.subtracting(skipped)
        record.progress.movedBytes += sent
        return sent
    }

    /// Scans the workspace for a new round.
    private func look(_ mode: WorkspaceScanner.Mode) async throws -> (Manifest, ChunkReader) {
        let workspace = try services.sandboxes.driver.folders(of: name).workspace
        let previous = scan
        let (manifest, state, reader) = try await DiskWork.run {
            let (manifest, state) = try WorkspaceScanner(root: workspace).scan(previous: previous, mode: mode)
            return (manifest, state, try ChunkReader(root: workspace, state: state))
        }
        scan = state
        round += 1
        record.progress.workspaceFiles = manifest.entries.count
        record.progress.workspaceBytes = Int(manifest.totalBytes)
        record.progress.root = manifest.root.hex
        return (manifest, reader)
    }

    /// The last difference as one message, or nil when it is too large for one.
    private func smallDifference(
        _ manifest: Manifest, _ reader: ChunkReader
    ) async throws -> BuildTree.Difference? {
        let encoded = manifest.encoded()
        let lacking = manifest.chunkIDs.subtracting(known)
        guard encoded.count + lacking.count * ChunkStore.maximumChunkBytes <= Self.differenceBytes
            || encoded.count + lacking.count <= Self.differenceBytes / 4
        else { return nil }
        let chunks = try await DiskWork.run { () throws -> [WireBytes]? in
            var chunks: [WireBytes] = []
            var bytes = encoded.count
            for id in lacking {
                let chunk = try reader.readChunk(id)
                bytes += chunk.count
                guard bytes <= Self.differenceBytes else { return nil }
                chunks.append(WireBytes(chunk))
            }
            return chunks
        }
        guard let chunks else { return nil }
        record.progress.movedBytes += chunks.reduce(0) { $0 + $1.bytes.count }
        return BuildTree.Difference(round: round, manifest: WireBytes(encoded), chunks: chunks)
    }

    private func send(_ manifest: [UInt8]) async throws -> Int {
        var offset = 0
        while true {
            let end = min(manifest.count, offset + Self.manifestPieceBytes)
            let isLast = end == manifest.count
            let answer = try await services.calls.call(
                SendManifest(
                    id: record.id, round: round, offset: offset, isLast: isLast,
                    data: WireBytes(Array(manifest[offset..<end]))), of: record.peer)
            if isLast { return answer.missingChunks }
            offset = end
        }
    }

    // MARK: Frozen

    private func freeze() async throws {
        try await enter(.freezing)
        heldSince = .now
        lastStep = heldSince
        Task {
            try? await Task.sleep(for: Self.frozenLimit)
            self.endIfStillFreezing()
        }
        guard await services.gate.hold(name) else {
            throw OperationFailure(.timedOut, "requests to \(name) did not end in time")
        }
        stepDone("hold")
        let driver = services.sandboxes.driver
        record.progress.digestBefore = try await services.hooks.freeze(try driver.gatewaySocket(of: name))
        await services.gate.settle(name)
        try await driver.freeze(name)
        stepDone("freeze")
        try checkAborted()
    }

    private func prepare(_ offer: OfferMove.Answer) async throws {
        let sandbox = try await services.sandboxes.record(name)
        let me = services.identity.did
        let state = MovedState(
            gatewayToken: try await services.sandboxes.token(of: name),
            digest: record.progress.digestBefore ?? "", createdAt: sandbox.createdAt,
            formerHomes: Array(
                (sandbox.formerHomes.filter { $0 != record.peer.did && $0 != me } + [me])
                    .suffix(MovedState.maximumFormerHomes)))
        let (manifest, reader) = try await look(.frozen)
        stepDone("scan")
        let difference = try await smallDifference(manifest, reader)
        if difference == nil { _ = try await sendRound(manifest, reader, isExact: true) }
        stepDone("difference")
        let answer = try await services.calls.call(
            BuildTree(id: record.id, state: state, difference: difference), of: record.peer)
        guard answer.root == record.progress.root else {
            throw OperationFailure(.failed, "the taker's copy differs: its root is \(answer.root)")
        }
        stepDone("prove")
        try checkAborted()
        try await enter(.committing)
    }

    // MARK: Committed

    /// From here the move goes on until the registry has spoken; also after a restart.
    func commit() async {
        var decision = GiverDecision.write
        var refusal: any Error = OperationFailure(.conflict, "the registry did not take the new home")
        while true {
            let before = decision
            do {
                switch decision {
                case .write:
                    let outcome = try await outcome(noting: &refusal) { try await writeHome() }
                    if outcome == .uncertain { isWriteUncertain = true }
                    decision = .afterWrite(outcome)
                case .fence:
                    decision = .afterFence(try await outcome(noting: &refusal) { try await writeFence() })
                case .read:
                    decision = .afterRead(try await view(), isWriteUncertain: isWriteUncertain)
                case .handOver:
                    stepDone("commit")
                    return await handOver()
                case .abort: return await abort(because: refusal)
                case .stop: return await stopHere()
                }
            } catch {
                services.logger.warn("the registry is asked again", ["move": record.id, "error": "\(error)"])
            }
            if decision == before || before == .fence { try? await Task.sleep(for: .milliseconds(500)) }
        }
    }

    private func outcome(
        noting refusal: inout any Error, _ write: () async throws -> Void
    ) async throws -> GiverDecision.Outcome {
        do {
            try await write()
            return .accepted
        } catch let failure as OperationFailure
            where [.conflict, .refused, .invalid, .notFound].contains(failure.code)
        {
            refusal = failure
            return .refused
        } catch {
            services.logger.warn("a write to the registry is uncertain", ["move": record.id, "error": "\(error)"])
            return .uncertain
        }
    }

    /// Notes how long a step of the freeze took.
    private func stepDone(_ step: String) {
        guard let last = lastStep else { return }
        let now = ContinuousClock.now
        record.progress.freezeSteps = record.progress.freezeSteps ?? [:]
        record.progress.freezeSteps![step] = (now - last).milliseconds
        lastStep = now
    }

    private func writeHome() async throws {
        try await services.registry.setHome(
            of: record.lineage,
            .make(
                agent: record.lineage, epoch: record.epoch, home: record.peer.did, signer: services.identity,
                succession: record.succession, now: Date()))
    }

    /// Uses the move's epoch up for this peer: whatever of the move is still on its way comes too late.
    private func writeFence() async throws {
        try await services.registry.setHome(
            of: record.lineage,
            .make(
                agent: record.lineage, epoch: record.epoch, home: services.identity.did, signer: services.identity,
                succession: nil, now: Date()))
    }

    private func view() async throws -> HomeView {
        HomeView(
            try await services.registry.home(of: record.lineage), epoch: record.epoch,
            giver: services.identity.did, taker: record.peer.did, newAgent: record.newAgent)
    }

    /// Somebody else is the home: an agent running here would be a second one.
    private func stopHere() async {
        services.logger.error("the agent's home is elsewhere", ["move": record.id])
        services.gate.release(name, to: .stopped)
        await retireHere()
        record.progress.error = "the registry names another home"
        await finish(.aborted)
    }

    /// The taker is the home: it starts the agent, this gate sends on what it held.
    private func handOver() async {
        record.progress.phase = .starting
        // Beside the taker's start; a crash before it is stored repeats the commit, which changes nothing.
        async let relinquished: Void = relinquish()
        while true {
            do {
                let answer = try await services.calls.call(CommitMove(id: record.id), of: record.peer)
                record.progress.digestAfter = answer.digest
                stepDone("start")
                break
            } catch let failure as OperationFailure where [.notFound, .refused, .invalid].contains(failure.code) {
                // It will not say more; what it does about the registry's word is its own affair.
                services.logger.error("the taker does not confirm", ["move": record.id, "error": failure.message])
                record.progress.error = "the taker does not confirm the start: \(failure.message)"
                break
            } catch {
                // It starts the agent without us, too. Until it has, requests wait here.
                services.logger.warn("the taker has not started the agent yet", ["move": record.id, "error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
        }
        await relinquished
        releaseToTaker()
        if let digest = record.progress.digestAfter, digest != record.progress.digestBefore {
            services.logger.error("the agent's state changed in the move", ["move": record.id])
            record.progress.error = "the agent's digest differs after the move"
        }
        await retireHere()
        await finish(.complete)
        services.logger.info(
            "moved", ["sandbox": name, "to": record.peer.did, "freeze_ms": record.progress.freezeMilliseconds ?? 0])
    }

    private func releaseToTaker() {
        services.gate.release(name, to: .forward(record.peer))
        if let heldSince {
            record.progress.freezeMilliseconds = (ContinuousClock.now - heldSince).milliseconds
        }
        heldSince = nil
    }

    /// The sandbox's record names the new home; durable before any request is sent on.
    private func relinquish() async {
        await writeUntilStored()
        while true {
            do {
                var sandbox = try await services.sandboxes.record(name)
                // Done before a crash.
                guard sandbox.epoch < record.epoch || sandbox.home != record.peer else { return }
                sandbox.home = record.peer
                sandbox.homeName = record.progress.peer
                sandbox.epoch = record.epoch
                if let newAgent = record.newAgent { sandbox.agent = newAgent }
                try await services.sandboxes.save(sandbox)
                return
            } catch StorageError.closed {
                return
            } catch {
                services.logger.error("the new home could not be stored", ["move": record.id, "error": "\(error)"])
                try? await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    /// The frozen agent ends without running again; its workspace stays as the base for a way back.
    private func retireHere() async {
        do { try await services.sandboxes.driver.stop(name, grace: .zero) } catch {
            services.logger.warn("the old sandbox did not stop", ["sandbox": name, "error": "\(error)"])
        }
        // The new home made its own; the old one is good for nothing but mischief.
        do { try await services.sandboxes.forgetKey(of: name) } catch {
            services.logger.warn("the old key is still here", ["sandbox": name, "error": "\(error)"])
        }
    }

    private func finish(_ phase: HandoffProgress.Phase) async {
        record.progress.phase = phase
        scan = nil
        await writeUntilStored()
    }

    private func writeUntilStored() async {
        while true {
            do { return try await services.journal.write(record) } catch StorageError.closed {
                return  // the node stops; its next start takes the move up
            } catch {
                services.logger.error("the journal cannot be written", ["move": record.id, "error": "\(error)"])
                try? await Task.sleep(for: .milliseconds(500))
            }
        }
    }

    // MARK: Aborted

    /// Ends a move that was not committed: the agent goes on here.
    func abort(because error: any Error) async {
        let failure = OperationFailure(wrapping: error, doing: "moving \(name)")
        services.logger.warn("a move was aborted", ["move": record.id, "error": failure.message])
        record.progress.error = failure.message
        if GiverDecision.mustJournalAbortFirst(record.progress.phase) {
            await keepEpoch()
            await finish(.aborted)
        }
        let route = await goOnHere()
        services.gate.release(name, to: route)
        if let heldSince { record.progress.freezeMilliseconds = (ContinuousClock.now - heldSince).milliseconds }
        await finish(.aborted)
        let (calls, id, peer, logger) = (services.calls, record.id, record.peer, services.logger)
        Task {
            do { _ = try await calls.call(CancelMove(id: id), of: peer) } catch {
                logger.warn("the taker does not know yet that the move is off", ["move": id, "error": "\(error)"])
            }
        }
    }
}

extension OutgoingMove {
    /// Tries of thawing an agent, which has to go on here.
    private static let thawTries = 5

    private func goOnHere() async -> AgentRoute {
        for attempt in 1...Self.thawTries {
            do {
                try await services.sandboxes.run(name)
                let socket = try services.sandboxes.driver.gatewaySocket(of: name)
                try await services.hooks.thaw(socket)
                return .local(socket: socket)
            } catch {
                services.logger.error(
                    "the agent could not be thawed", ["sandbox": name, "attempt": attempt, "error": "\(error)"])
                try? await Task.sleep(for: .seconds(attempt))
            }
        }
        return .stopped
    }

    /// A fence may have used the epoch up.
    private func keepEpoch() async {
        guard let home = try? await services.registry.home(of: record.lineage), home.epoch == record.epoch,
            var sandbox = try? await services.sandboxes.record(name)
        else { return }
        sandbox.epoch = home.epoch
        try? await services.sandboxes.save(sandbox)
    }
}

extension Duration {
    var milliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1_000 + Double(attoseconds) / 1e15
    }
}
