import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Sandboxes
import Storage

/// All moves towards this peer: who may bring what, and what becomes of it.
actor IncomingMoves {
    /// Moves that may be under way towards this peer at one time.
    private static let maximumMoves = 16
    /// How long a move that this peer asked for may take to be offered.
    private static let invitationLifetime = Duration.seconds(600)

    /// How often a copy that waits asks the registry.
    private static let watchPause = Duration.seconds(2)

    private let services: MoveServices
    private let folder: String
    private var moves: [String: IncomingMove] = [:]
    /// Names that no other operation may take while their move is under way, by the move's id.
    private var reserved: [String: String] = [:]
    private var settling: [String: Task<CommitMove.Answer, any Error>] = [:]
    /// Agents that this peer's operator has asked back, and from whom.
    private var invitations: [DID: (peer: PeerIdentity, until: ContinuousClock.Instant)] = [:]

    init(services: MoveServices, folder: String) {
        self.services = services
        self.folder = folder
    }

    /// Expects an agent from a peer, because the operator here asked for it.
    func invite(_ lineage: DID, from peer: PeerIdentity) {
        invitations[lineage] = (peer, .now + Self.invitationLifetime)
    }

    func withdrawInvitation(_ lineage: DID) { invitations[lineage] = nil }

    /// Takes chunks that came without the relay.
    ///
    /// - Returns: the answer; nil for what is not of a move that is under way.
    func takeDirect(_ id: String, _ box: [UInt8]) async -> [UInt8]? {
        guard let move = moves[id] else { return nil }
        let receiver = move.direct
        guard let chunks = try? await DiskWork.run({ receiver.open(box) }) else { return nil }
        do { try await move.take(SendChunks(id: id, chunks: chunks)) } catch {
            services.logger.info("chunks were not taken", ["move": id, "error": "\(error)"])
            return nil
        }
        return receiver.answer(to: box)
    }

    // MARK: Steps

    /// Whether an offer would be taken as things are.
    func assess(_ request: AssessMove, from caller: OperationCaller) async throws -> AssessMove.Answer {
        let offer = request.offer
        _ = try await granted(offer, caller)
        guard reserved.count < Self.maximumMoves else { throw Self.tooMany }
        try await checkPlace(for: offer)
        return AssessMove.Answer(hasOlderCopy: services.sandboxes.driver.names().contains(offer.spec.name))
    }

    /// The peer that may give this agent, and by what pairing.
    private func granted(
        _ offer: OfferMove, _ caller: OperationCaller
    ) async throws -> (peer: PeerIdentity, pairing: Pairing) {
        guard case .peer(let peer, let pairing?) = caller else { throw Self.strangersMove }
        guard invitations[offer.lineage].map({ $0.peer == peer && $0.until > .now }) ?? false
            || (pairing.isGranted && pairing.capabilities.contains(.handoff))
        else {
            throw OperationFailure(
                .refused, "the pairing \"\(pairing.name)\" does not grant handoff",
                hint: "pair again with --capabilities offload,handoff")
        }
        try await check(offer, peer)
        return (peer, pairing)
    }

    private static let tooMany = OperationFailure(.unavailable, "too many moves are under way; try again later")

    func take(_ offer: OfferMove, from caller: OperationCaller) async throws -> OfferMove.Answer {
        let (peer, pairing) = try await granted(offer, caller)
        try await dropIdle()
        guard reserved.count < Self.maximumMoves else { throw Self.tooMany }
        try await supersede(offer, peer)
        // The name is this move's until it ends: nothing is made, destroyed or moved under it meanwhile.
        try await services.sandboxes.beginChange(of: offer.spec.name)
        guard reserved.updateValue(offer.spec.name, forKey: offer.id) == nil else {
            await services.sandboxes.endChange(of: offer.spec.name)
            throw Self.unusableID
        }
        do {
            return try await open(offer, peer, pairing)
        } catch {
            await release(offer.id)
            Task { await self.withdrawKey(of: offer.id) }
            throw error
        }
    }

    private func open(_ offer: OfferMove, _ peer: PeerIdentity, _ pairing: Pairing) async throws -> OfferMove.Answer {
        try await checkPlace(for: offer)
        let agent = Identity.generate()
        // Kept first, so that the key of a move that comes to nothing can be withdrawn after a crash, too.
        try await services.journal.keepKey(agent, of: offer.id)
        try await services.registry.register(
            agent, capabilities: ["kars-agent"], metadata: ["display_name": offer.spec.name])
        let me = PeerIdentity(key: services.identity.publicKey)
        let sandbox = SandboxRecord(
            spec: offer.spec, lineage: offer.lineage, agent: agent.did, epoch: offer.epoch, home: me,
            homeName: services.sandboxes.peerName, formerHomes: [], createdAt: Date())
        var record = MoveRecord(
            role: .taker,
            progress: HandoffProgress(
                id: offer.id, sandbox: offer.spec.name, direction: "in", peer: pairing.peerName ?? pairing.name,
                peerDID: peer.did.text, startedAt: Date()),
            peer: peer, lineage: offer.lineage, epoch: offer.epoch, oldAgent: offer.agentKey.did)
        record.newAgent = agent.did
        try await services.journal.write(record)
        let move = try IncomingMove(
            record, sandbox: sandbox, agent: agent, folder: moveFolder(offer.id), services: services)
        moves[offer.id] = move
        watch(offer.id)
        guard services.direct.isAllowed else { return await move.offerAnswer(gateway: nil) }
        // An address of this machine alone serves peers that share it; they know by the relay's.
        let own = services.direct.isNear ? await services.sandboxes.gatewayURL : nil
        return await move.offerAnswer(gateway: services.direct.advertised ?? own.flatMap { $0.isEmpty ? nil : $0 })
    }

    /// A giver that went away must not hold one of the few places for ever.
    private func dropIdle() async throws {
        for move in moves.values {
            let (record, isIdle) = await (move.record, move.isIdle)
            if isIdle { try await forget(record, because: "the giver went silent") }
        }
    }

    private func check(_ offer: OfferMove, _ peer: PeerIdentity) async throws {
        // The id becomes a folder's name.
        guard (8...64).contains(offer.id.utf8.count),
            offer.id.utf8.allSatisfy({ $0 == UInt8(ascii: "-") || Character(Unicode.Scalar($0)).isHexDigit })
        else { throw Self.unusableID }
        if let known = try await services.journal.move(offer.id) {
            // Only a move that was asked for may be known, and must be the one that was asked for.
            guard known.role == .taker, known.peer == peer, known.lineage == offer.lineage, known.newAgent == nil,
                !known.progress.phase.isOver
            else { throw Self.unusableID }
        }
        do { try offer.spec.validate() } catch { throw OperationFailure(.invalid, "\(error)") }
        if let image = offer.spec.image, !services.sandboxes.driver.takesImages {
            throw OperationFailure(
                .refused, "that agent comes in the image \(image), and this peer's \(services.sandboxes.driver.kind) "
                    + "sandboxes take none")
        }
        // The registry, not the giver, says whose agent it is.
        guard let home = try await services.registry.home(of: offer.lineage),
            let did = try? DID(parsing: home.home), did == peer.did,
            offer.epoch > 1, home.epoch == offer.epoch - 1,
            (try? DID(parsing: home.agent)) == offer.lineage,
            (try? DID(parsing: home.did)) == offer.agentKey.did
        else { throw OperationFailure(.refused, "\(peer.did) is not the home of that agent") }
    }

    /// A giver that offers an agent anew has given up what it began before.
    private func supersede(_ offer: OfferMove, _ peer: PeerIdentity) async throws {
        for old in try await services.journal.unfinished()
        where old.role == .taker && old.lineage == offer.lineage && old.peer == peer && old.id != offer.id
            && old.epoch <= offer.epoch
        {
            try await forget(old, because: "the giver began anew")
        }
    }

    private func checkPlace(for offer: OfferMove) async throws {
        let known = try? await services.sandboxes.record(offer.spec.name)
        if let known, known.lineage != offer.lineage {
            throw OperationFailure(.conflict, "another sandbox called \"\(offer.spec.name)\" exists there")
        }
        if let known, known.home.key == services.identity.publicKey {
            throw OperationFailure(.conflict, "\"\(offer.spec.name)\" lives there already")
        }
        if let other = await services.sandboxes.record(ofLineage: offer.lineage), other.name != offer.spec.name {
            throw OperationFailure(.conflict, "that agent is called \"\(other.name)\" there")
        }
        try AtomicFile.makeFolder(folder)
        let free = try await DiskWork.run { [folder] in try WorkspaceRestorer.freeBytes(at: folder) }
        // Chunks and tree both stand until the commit, and the disk keeps its reserve.
        let needed = UInt64(max(0, offer.workspaceBytes)).multipliedReportingOverflow(by: 2)
        let total = needed.partialValue.addingReportingOverflow(WorkspaceLimits().reservedFreeBytes)
        guard !needed.overflow, !total.overflow, total.partialValue <= free else {
            throw OperationFailure(
                .noSpace, "no room for \(offer.spec.name): \(offer.workspaceBytes) bytes twice, and \(free) are free",
                hint: "free some space at that peer")
        }
    }

    private func move(_ id: String, _ caller: OperationCaller) async throws -> IncomingMove {
        guard case .peer(let peer, _) = caller else { throw Self.strangersMove }
        guard let move = moves[id], await move.record.peer == peer else {
            throw OperationFailure(.notFound, "there is no such move")
        }
        return move
    }

    func take(_ piece: SendManifest, from caller: OperationCaller) async throws -> SendManifest.Answer {
        try await reporting { try await move(piece.id, caller).take(piece) }
    }

    func missing(_ request: ListMissing, from caller: OperationCaller) async throws -> ListMissing.Answer {
        try await move(request.id, caller).missing(request)
    }

    func take(_ chunks: SendChunks, from caller: OperationCaller) async throws -> Done {
        try await reporting { try await move(chunks.id, caller).take(chunks) }
        return Done()
    }

    func take(_ credentials: SendCredentials, from caller: OperationCaller) async throws -> Done {
        try await reporting { try await move(credentials.id, caller).take(credentials) }
        return Done()
    }

    func take(_ audit: SendAudit, from caller: OperationCaller) async throws -> SendAudit.Answer {
        try await move(audit.id, caller).take(audit)
    }

    func build(_ request: BuildTree, from caller: OperationCaller) async throws -> BuildTree.Answer {
        guard case .peer(let peer, _) = caller else { throw Self.strangersMove }
        // Asked again because this peer restarted between its promise and the answer.
        if request.state != nil, moves[request.id] == nil,
            let record = try await services.journal.move(request.id), record.peer == peer, record.prepared != nil,
            !record.progress.phase.isOver, let root = record.progress.root
        {
            return BuildTree.Answer(root: root)
        }
        return try await reporting { try await move(request.id, caller).build(request) }
    }

    /// The giver says the move is off. A promised copy goes only if the registry agrees that it never moved.
    func cancel(_ request: CancelMove, from caller: OperationCaller) async throws -> Done {
        guard case .peer(let peer, _) = caller else { throw Self.strangersMove }
        guard let record = try await find(request.id) else { return Done() }
        guard record.peer == peer else { throw Self.strangersMove }
        let isPromised = record.prepared != nil
        let home = isPromised ? try await view(of: record) : .before
        guard TakerDecision.onCancel(home, isPromised: isPromised) == .forget else {
            throw OperationFailure(.conflict, "the move is committed")
        }
        try await forget(record, because: "ended by \(record.progress.peer)")
        return Done()
    }

    /// The operator here ends a move that promised nothing yet, or that never came.
    func giveUp(_ id: String, because reason: String) async throws {
        guard let record = try await find(id) else { return }
        guard record.prepared == nil else {
            throw OperationFailure(.conflict, "this peer has promised to keep the agent and waits for its giver")
        }
        try await forget(record, because: reason)
    }

    /// A move that is under way, in memory or, after a restart, in the journal alone.
    private func find(_ id: String) async throws -> MoveRecord? {
        if let move = moves[id] { return await move.record }
        guard let record = try await services.journal.move(id), record.role == .taker,
            !record.progress.phase.isOver
        else { return nil }
        return record
    }

    /// Ends a move that did not come to be, with its copy and the key made for it.
    private func forget(_ record: MoveRecord, because reason: String) async throws {
        if let move = moves[record.id] { await move.finish() }
        await undoStandby(record)
        var record = record
        record.progress.phase = .aborted
        record.progress.error = reason
        try await services.journal.write(record)
        moves[record.id] = nil
        let folder = moveFolder(record.id)
        do { try await DiskWork.run { try MoveFolder.remove(folder) } } catch {
            services.logger.warn("a copy could not be removed", ["move": record.id, "error": "\(error)"])
        }
        // An address that a restart opened for it.
        let name = record.progress.sandbox
        if reserved[record.id] == name, await !services.sandboxes.isKnown(name) { services.gate.remove(name) }
        await release(record.id)
        services.logger.info("a move came to nothing", ["move": record.id, "reason": reason])
        Task { await self.withdrawKey(of: record.id) }
    }

    /// Gives up what was readied for a move: the dormant copy is as it was, or gone if there was none.
    private func undoStandby(_ record: MoveRecord) async {
        let (name, driver) = (record.progress.sandbox, services.sandboxes.driver)
        // A move that was never offered has readied nothing; one with the same name may have.
        guard record.newAgent != nil, !reserved.contains(where: { $0.value == name && $0.key != record.id })
        else { return }
        let known = try? await services.sandboxes.record(name)
        // Where the agent lives by now is not this move's to touch.
        guard known?.home.key != services.identity.publicKey, driver.names().contains(name) else { return }
        do {
            try await driver.stop(name, grace: .zero)
            if known == nil { return try await driver.remove(name) }
            let (workspace, folder) = (try driver.folders(of: name).workspace, moveFolder(record.id))
            let keepsFolder = driver.keepsWorkspaceFolder
            _ = try await DiskWork.run {
                try MoveFolder.revert(
                    workspace: workspace, retired: folder + "/retired", discarded: folder + "/discarded",
                    keepsFolder: keepsFolder)
            }
        } catch {
            services.logger.warn("a standby was not undone", ["move": record.id, "error": "\(error)"])
        }
    }

    private func release(_ id: String) async {
        guard let name = reserved.removeValue(forKey: id) else { return }
        await services.sandboxes.endChange(of: name)
    }

    /// Withdraws the key that was made for nothing; what the registry does not hear now it hears after the next
    /// start.
    private func withdrawKey(of id: String) async {
        do {
            if let agent = try await services.journal.key(of: id) { try await services.registry.unregister(agent) }
            try await forgetSecrets(of: id)
        } catch {
            services.logger.warn("a key that was not used is still registered", ["move": id, "error": "\(error)"])
        }
    }

    private func forgetSecrets(of id: String) async throws {
        try await services.journal.forgetToken(of: id)
        try await services.journal.forgetKey(of: id)
        try await services.journal.forgetCredentials(of: id)
        try await services.journal.forgetAudit(of: id)
    }

    /// The giver says that the commit is written; the registry has the last word.
    func commit(_ request: CommitMove, from caller: OperationCaller) async throws -> CommitMove.Answer {
        guard case .peer(let peer, _) = caller else { throw Self.strangersMove }
        guard let record = try await services.journal.move(request.id), record.role == .taker else {
            throw OperationFailure(.notFound, "there is no such move")
        }
        guard record.peer == peer else { throw Self.strangersMove }
        // Started already: the giver lost the answer, or this peer did not wait for it.
        if record.progress.phase == .complete {
            return CommitMove.Answer(digest: record.progress.digestAfter ?? "")
        }
        guard !record.progress.phase.isOver else { throw OperationFailure(.notFound, "there is no such move") }
        return try await settle(record)
    }

    // MARK: Settling

    private func view(of record: MoveRecord) async throws -> HomeView {
        // On its word alone while clients wait; its log is asked afterwards.
        HomeView(
            try await services.registry.homeRecord(of: record.lineage), epoch: record.epoch, giver: record.peer.did,
            taker: services.identity.did, newAgent: record.newAgent)
    }

    /// Makes the copy the agent's home, once however many ask for it.
    ///
    /// - Returns: with the digest that the agent gives before its first request here.
    private func settle(_ record: MoveRecord) async throws -> CommitMove.Answer {
        if let running = settling[record.id] { return try await running.value }
        let task = Task { try await self.settleAlone(record.id) }
        settling[record.id] = task
        defer { settling[record.id] = nil }
        return try await task.value
    }

    private func settleAlone(_ id: String) async throws -> CommitMove.Answer {
        var times = StepTimes()
        guard let record = try await services.journal.move(id) else {
            throw OperationFailure(.notFound, "there is no such move")
        }
        if record.progress.phase == .complete {
            return CommitMove.Answer(digest: record.progress.digestAfter ?? "")
        }
        guard let prepared = record.prepared, !record.progress.phase.isOver else {
            throw OperationFailure(.conflict, "the move is not ready to be committed")
        }
        guard TakerDecision.on(try await view(of: record), isPromised: true) == .install else {
            throw OperationFailure(.conflict, "the registry does not name this peer the home of \(record.lineage)")
        }
        times.done("confirm")
        return try await install(record, prepared, &times)
    }

    /// Safe to repeat after a crash at any point.
    private func install(
        _ record: MoveRecord, _ prepared: SandboxRecord, _ times: inout StepTimes
    ) async throws -> CommitMove.Answer {
        let name = record.progress.sandbox
        let (sandboxes, driver) = (services.sandboxes, services.sandboxes.driver)
        guard let agent = try await services.journal.key(of: record.id),
            let token = try await services.journal.token(of: record.id)
        else { throw OperationFailure(.failed, "the key of \(name) is not here") }
        if !driver.names().contains(name) { try await driver.create(prepared.spec) }
        if try driver.state(of: name).isAlive, (try? await sandboxes.record(name).epoch) ?? 0 < record.epoch {
            try await driver.stop(name, grace: .zero)
        }
        let (tree, retired) = (moveFolder(record.id) + "/tree", moveFolder(record.id) + "/retired")
        let (workspace, keepsFolder) = (try driver.folders(of: name).workspace, driver.keepsWorkspaceFolder)
        try await DiskWork.run {
            try MoveFolder.install(tree: tree, as: workspace, retired: retired, keepsFolder: keepsFolder)
        }
        // From here clients can know the token: what they ask before the agent is there waits. After a crash they
        // wait already.
        if services.gate.route(of: name) == nil { await holdGate(of: name, token: token) }
        // Before the agent runs, which reads them; what is as it was costs no commit.
        if let moved = try await services.journal.credentials(of: record.id), moved != (try await sandboxes.credentials(of: name)) {
            try await sandboxes.keepCredentials(of: name, moved)
        }
        let audit = try await services.journal.audit(of: record.id)
        times.done("install")
        // Beside each other: an agent that runs is asked nothing before its record and its secrets are stored, and a
        // crash in between finds it, ends it and starts it again.
        async let secrets: Void = sandboxes.keepSecrets(
            of: name, seed: agent.seed, token: token)
        async let saved: Void = sandboxes.save(prepared)
        async let audited: Void = sandboxes.audit.adopt(
            audit, of: record.lineage, epoch: record.epoch, from: record.peer.did)
        async let ran: Void = sandboxes.run(name)
        _ = try await (secrets, saved, audited, ran)
        times.done("run")
        let socket = try driver.gatewaySocket(of: name)
        var done = record
        done.progress.phase = .complete
        done.progress.digestAfter = try await services.hooks.digest(socket)
        times.done("digest")
        // Before the first request: the giver is told what came, not what became of it since.
        try await services.journal.write(done)
        services.gate.open(name, token: token, route: .local(socket: socket))
        times.done("record")
        await moves[record.id]?.finish()
        moves[record.id] = nil
        invitations[record.lineage] = nil
        await release(record.id)
        services.logger.info("took in", ["sandbox": name, "from": record.peer.did])
        let folder = moveFolder(record.id)
        Task {
            try? await self.forgetSecrets(of: record.id)
            try? await DiskWork.run { try MoveFolder.remove(folder) }
            do { _ = try await self.services.registry.home(of: record.lineage) } catch {
                self.services.logger.error("a home is not in the registry's log", ["sandbox": name, "error": "\(error)"])
            }
        }
        return CommitMove.Answer(digest: done.progress.digestAfter ?? "", steps: times.milliseconds)
    }

    // MARK: Recovery

    /// After a restart: what was not promised is forgotten; its giver hears so at its next step. What an
    /// earlier run left behind goes.
    func beginRecovery(_ records: [MoveRecord]) async {
        for record in records where record.role == .taker {
            let decision = TakerDecision.afterRestart(isPromised: record.prepared != nil)
            do {
                if decision == .forget {
                    try await forget(record, because: "this peer restarted")
                } else {
                    try await services.sandboxes.beginChange(of: record.progress.sandbox)
                    reserved[record.id] = record.progress.sandbox
                    try await openGate(for: record)
                }
            } catch {
                services.logger.error("an old move could not be taken up", ["move": record.id, "error": "\(error)"])
            }
        }
        await sweep()
    }

    /// Makes the agent of a promised move reachable again before anyone can ask for it, though the move is undecided.
    private func openGate(for record: MoveRecord) async throws {
        let (name, sandboxes) = (record.progress.sandbox, services.sandboxes)
        let known = try? await sandboxes.record(name)
        if let known, known.home.key != services.identity.publicKey {
            // A dormant copy here sends requests to where it thinks the agent is.
            return services.gate.open(name, token: try await sandboxes.token(of: name), route: .forward(known.home))
        }
        // The crash came while the copy was installed: clients may have its token already. Without a record or a
        // token they cannot.
        let isInstalled = known != nil
        let hasToken = (try? await sandboxes.token(of: name)) != nil
        guard isInstalled || hasToken, let token = try await services.journal.token(of: record.id) else { return }
        await holdGate(of: name, token: token)
    }

    private func holdGate(of name: String, token: String) async {
        services.gate.open(name, token: token, route: .stopped)
        _ = await services.gate.hold(name)
    }

    /// Removes folders and keys of moves that are over, which a crash left.
    private func sweep() async {
        let left = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for id in left where reserved[id] == nil {
            let path = moveFolder(id)
            try? await DiskWork.run { try MoveFolder.remove(path) }
        }
        for id in (try? await services.journal.idsOfKeys()) ?? [] where reserved[id] == nil {
            if let move = try? await services.journal.move(id), move.progress.phase == .complete {
                try? await forgetSecrets(of: id)
            } else {
                Task { await self.withdrawKey(of: id) }
            }
        }
    }

    /// After a restart: what was promised waits for the registry's word.
    func recover(_ records: [MoveRecord]) {
        for record in records where record.role == .taker && record.prepared != nil {
            Task {
                if await self.look(record.id) { return }
                self.watch(record.id)
            }
        }
    }

    /// Follows a move to its end, also when its giver falls silent: asks the registry, and where that has
    /// nothing to say, the giver.
    private func watch(_ id: String) {
        Task {
            repeat { try? await Task.sleep(for: Self.watchPause) } while await !self.look(id)
        }
    }

    /// - Returns: whether the move is over.
    private func look(_ id: String) async -> Bool {
        do {
            guard let record = try await find(id) else { return true }
            let (isPromised, move) = (record.prepared != nil, moves[id])
            if !isPromised, let move, await !move.isSilent { return false }
            var decision = TakerDecision.on(try await view(of: record), isPromised: isPromised)
            if decision == .askGiver {
                let isIdle = await move?.isIdle ?? false
                decision = .on(await word(of: record), isPromised: isPromised, isIdle: isIdle)
            }
            switch decision {
            case .install:
                _ = try await settle(record)
                return true
            case .forget:
                try await forget(record, because: "the agent stayed or went elsewhere")
                return true
            case .wait, .askGiver: return false
            }
        } catch StorageError.closed {
            return true  // the node stops; its next start takes the move up
        } catch {
            services.logger.warn("a copy waits", ["move": id, "error": "\(error)"])
            return false
        }
    }

    private func word(of record: MoveRecord) async -> TakerDecision.Word {
        do {
            let answer = try await services.calls.call(AskFate(id: record.id), of: record.peer)
            guard let phase = answer.phase else { return .unknown }
            return phase == .aborted ? .ended : .underWay
        } catch {
            return .silent
        }
    }

    private nonisolated func moveFolder(_ id: String) -> String { "\(folder)/\(id)" }

    /// Turns what the disk and a hostile manifest can cause into the taker's word to the giver.
    private func reporting<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        do {
            return try await body()
        } catch let error as WorkspaceError {
            if case .diskFull = error { throw OperationFailure(.noSpace, "the taker's disk is full: \(error)") }
            throw OperationFailure(.refused, "the taker refuses the workspace: \(error)")
        }
    }

    private static let unusableID = OperationFailure(.invalid, "the move's id is not usable")
    private static let strangersMove = OperationFailure(.refused, "this move belongs to another peer")
}
