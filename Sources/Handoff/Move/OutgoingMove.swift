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
    /// Longest time between the first held request and the commit; shorter than a request is held.
    private static let frozenLimit = GateLimits().holdTime - .seconds(5)
    private let services: MoveServices
    /// Made with the first look at the workspace.
    private var sender: WorkspaceSender?
    private(set) var record: MoveRecord
    /// Why the move is to end.
    private var ending: OperationFailure?
    /// What runs up to the commit.
    private var work: Task<Void, any Error>?
    /// Whether a write to the registry may be on its way without an answer.
    private var isWriteUncertain: Bool
    private var heldSince: ContinuousClock.Instant?
    private var lastStep: ContinuousClock.Instant?

    init(_ record: MoveRecord, services: MoveServices) {
        self.record = record
        self.services = services
        isWriteUncertain = !GiverDecision.mayAbort(record.progress.phase)
    }

    var progress: HandoffProgress {
        var progress = record.progress
        if let sender { progress.note(sender.meter.reading) }
        if progress.freezeMilliseconds == nil, let heldSince {
            progress.freezeMilliseconds = (ContinuousClock.now - heldSince).milliseconds
        }
        return progress
    }
    private var name: String { record.progress.sandbox }

    /// Runs the move to its end, whichever it is.
    func run() async {
        let work = Task {
            try await findPlace()
            let sender = try await offer()
            try await sender.copyWhileServing { [self] in try await checkAborted() }
            try await freeze()
            try await prepare(with: sender)
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

    /// The peer that was asked may name another one, and may have to make it first.
    private func findPlace() async throws {
        let sandbox = try await services.sandboxes.record(name)
        let place = try await services.places.place(for: sandbox, at: record.peer, named: record.progress.peer)
        guard place != record.peer else { return }
        record.peer = place
        record.progress.peerDID = place.did.text
        // On disk before that peer hears of the move: it may ask this one about it.
        try await services.journal.write(record)
    }

    /// - Returns: what sends the workspace.
    private func offer() async throws -> WorkspaceSender {
        let sandbox = try await services.sandboxes.record(name)
        let workspace = try services.sandboxes.driver.folders(of: name).workspace
        let sender = WorkspaceSender(
            id: record.id, peer: record.peer, calls: services.calls, workspace: workspace)
        self.sender = sender
        let bytes = try await sender.measure()
        try await confirmHome()
        let agent = try await services.sandboxes.agentIdentity(name)
        let answer = try await services.calls.call(
            OfferMove(
                id: record.id, spec: sandbox.spec, lineage: record.lineage, agentKey: agent.publicKey,
                epoch: record.epoch, workspaceBytes: bytes), of: record.peer)
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
        try await sendCredentials()
        try await AuditSender(services: services).send(record)
        if let way = answer.direct, services.direct.isAllowed {
            await sender.use(
                DirectSender(
                    way, id: record.id, isNear: services.direct.isNear, tls: services.direct.tls, loop: services.loop,
                    logger: services.logger))
        }
        return sender
    }

    private func sendCredentials() async throws {
        let credentials = try await services.sandboxes.credentials(of: name)
        do {
            _ = try await services.calls.call(SendCredentials(id: record.id, credentials: credentials), of: record.peer)
            // On disk with the next step.
            record.hasSentCredentials = true
        } catch let failure as OperationFailure where failure.isUnknownOperation {
            // Of a version that takes none: the agent goes without, as it did.
            if !credentials.isEmpty {
                services.logger.warn("the taker takes no credentials", ["move": record.id, "sandbox": name])
            }
        }
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

    private func prepare(with sender: WorkspaceSender) async throws {
        let sandbox = try await services.sandboxes.record(name)
        let me = services.identity.did
        let state = MovedState(
            gatewayToken: try await services.sandboxes.token(of: name),
            digest: record.progress.digestBefore ?? "", createdAt: sandbox.createdAt,
            formerHomes: Array(
                (sandbox.formerHomes.filter { $0 != record.peer.did && $0 != me } + [me])
                    .suffix(MovedState.maximumFormerHomes)))
        let (answer, root) = try await sender.sendLast(
            with: state, check: { [self] in try await checkAborted() }, stepDone: { [self] in await stepDone($0) })
        record.progress.note(sender.meter.reading)
        guard answer.root == root else {
            throw OperationFailure(.failed, "the taker's copy differs: its root is \(answer.root)")
        }
        note(answer.steps)
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

    /// Takes over what the taker says of its own time, as far as it makes sense.
    private func note(_ steps: [String: Double]?) {
        for (step, time) in (steps ?? [:]).prefix(16) where step.utf8.count <= 32 && time.isFinite {
            record.progress.freezeSteps?["taker." + step] = time
        }
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
        async let anchored: Void = AuditSender(services: services).noteDeparture(record)
        while true {
            do {
                let answer = try await services.calls.call(CommitMove(id: record.id), of: record.peer)
                // An agent without hooks has none.
                record.progress.digestAfter = answer.digest.isEmpty ? nil : answer.digest
                note(answer.steps)
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
        await anchored
        if let before = record.progress.digestBefore, let after = record.progress.digestAfter, before != after {
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
        do {
            try await services.sandboxes.forgetKey(of: name)
            if record.hasSentCredentials == true { try await services.sandboxes.forgetCredentials(of: name) }
        } catch {
            services.logger.warn("the old key is still here", ["sandbox": name, "error": "\(error)"])
        }
    }

    private func finish(_ phase: HandoffProgress.Phase) async {
        if let sender { record.progress.note(sender.meter.reading) }
        record.progress.phase = phase
        sender = nil
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
        await AuditSender(services: services).noteAbort(record)
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
