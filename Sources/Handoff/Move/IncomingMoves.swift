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

    private let services: MoveServices
    private let folder: String
    private var moves: [String: IncomingMove] = [:]
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

    // MARK: Steps

    func take(_ offer: OfferMove, from caller: OperationCaller) async throws -> OfferMove.Answer {
        guard case .peer(let peer, let pairing?) = caller else { throw Self.strangersMove }
        guard invitations[offer.lineage].map({ $0.peer == peer && $0.until > .now }) ?? false
            || (pairing.role == .issuer && pairing.capabilities.contains(.handoff))
        else {
            throw OperationFailure(
                .refused, "the pairing \"\(pairing.name)\" does not grant handoff",
                hint: "pair again with --capabilities offload,handoff")
        }
        try await dropIdle()
        // Its home offers the agent anew, so whatever it began before came to nothing.
        try await check(offer, peer)
        for old in try await services.journal.unfinished()
        where old.role == .taker && old.lineage == offer.lineage && old.id != offer.id {
            try await forget(old, because: "the giver began anew")
        }
        guard moves.count < Self.maximumMoves else {
            throw OperationFailure(.unavailable, "too many moves are under way; try again later")
        }
        let agent = Identity.generate()
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
        return await move.offerAnswer()
    }

    /// A giver that went away must not hold one of the few places for ever.
    private func dropIdle() async throws {
        for move in moves.values {
            let (record, isIdle) = await (move.record, move.isIdle)
            if isIdle { try await forget(record, because: "the giver went silent") }
        }
    }

    private func check(_ offer: OfferMove, _ peer: PeerIdentity) async throws {
        guard offer.id.utf8.count <= 64, offer.id.allSatisfy({ $0.isASCII && ($0.isHexDigit || $0 == "-") }),
            moves[offer.id] == nil
        else { throw OperationFailure(.invalid, "the move's id is not usable") }
        do { try offer.spec.validate() } catch { throw OperationFailure(.invalid, "\(error)") }
        // The registry, not the giver, says whose agent it is.
        guard let home = try await services.registry.home(of: offer.lineage),
            let did = try? DID(parsing: home.home), did == peer.did, home.epoch + 1 == offer.epoch,
            (try? DID(parsing: home.did)) == offer.agentKey.did
        else { throw OperationFailure(.refused, "\(peer.did) is not the home of that agent") }
        let known = try? await services.sandboxes.record(offer.spec.name)
        if let known, known.lineage != offer.lineage {
            throw OperationFailure(.conflict, "another sandbox called \"\(offer.spec.name)\" exists there")
        }
        if let known, known.home.key == services.identity.publicKey {
            throw OperationFailure(.conflict, "\"\(offer.spec.name)\" lives there already")
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

    func build(_ request: BuildTree, from caller: OperationCaller) async throws -> BuildTree.Answer {
        try await reporting { try await move(request.id, caller).build(request) }
    }

    /// The giver says the move is off. A promised copy goes only if the registry agrees that it never moved.
    func cancel(_ request: CancelMove, from caller: OperationCaller) async throws -> Done {
        guard case .peer(let peer, _) = caller else { throw Self.strangersMove }
        guard let record = try await find(request.id) else { return Done() }
        guard record.peer == peer else { throw Self.strangersMove }
        if record.prepared != nil, try await isHome(record) {
            throw OperationFailure(.conflict, "the move is committed")
        }
        try await forget(record, because: "ended by \(record.progress.peer)")
        return Done()
    }

    /// A move that is under way, in memory or, after a restart, in the journal alone.
    private func find(_ id: String) async throws -> MoveRecord? {
        if let move = moves[id] { return await move.record }
        return try await services.journal.unfinished().first { $0.id == id && $0.role == .taker }
    }

    /// Ends a move that did not come to be, with its copy and the key made for it.
    private func forget(_ record: MoveRecord, because reason: String) async throws {
        if let move = moves.removeValue(forKey: record.id) { await move.withdraw() }
        await undoStandby(record)
        var record = record
        record.progress.phase = .aborted
        record.progress.error = reason
        try await services.journal.write(record)
        let folder = moveFolder(record.id)
        try? await DiskWork.run { try MoveFolder.remove(folder) }
    }

    /// Gives up what was readied for a move: the dormant copy is as it was, or gone if there was none.
    private func undoStandby(_ record: MoveRecord) async {
        let (name, driver) = (record.progress.sandbox, services.sandboxes.driver)
        let known = try? await services.sandboxes.record(name)
        // Where the agent lives by now is not this move's to touch.
        guard known?.home.key != services.identity.publicKey, driver.names().contains(name) else { return }
        do {
            try await driver.stop(name, grace: .zero)
            if known == nil { return try await driver.remove(name) }
            let (workspace, folder) = (try driver.folders(of: name).workspace, moveFolder(record.id))
            _ = try await DiskWork.run {
                try MoveFolder.revert(
                    workspace: workspace, retired: folder + "/retired", discarded: folder + "/discarded")
            }
        } catch {
            services.logger.warn("a standby was not undone", ["move": record.id, "error": "\(error)"])
        }
    }

    /// The giver says that the commit is written; the registry has the last word.
    func commit(_ request: CommitMove, from caller: OperationCaller) async throws -> CommitMove.Answer {
        guard case .peer(let peer, _) = caller else { throw Self.strangersMove }
        guard let record = try await find(request.id) else {
            throw OperationFailure(.notFound, "there is no such move")
        }
        guard record.peer == peer else { throw Self.strangersMove }
        return CommitMove.Answer(digest: try await settle(record))
    }

    // MARK: Settling

    private func isHome(_ record: MoveRecord) async throws -> Bool {
        guard let home = try await services.registry.home(of: record.lineage),
            let did = try? DID(parsing: home.home)
        else { return false }
        // The agent's key tells this move from an earlier one that offered the same epoch and came to nothing.
        return home.epoch == record.epoch && did == services.identity.did
            && (try? DID(parsing: home.did)) == record.newAgent
    }

    /// Whether the agent's record has passed this move by: its epoch was written, and not for this copy.
    private func isPassed(_ record: MoveRecord) async throws -> Bool {
        guard let home = try await services.registry.home(of: record.lineage) else { return false }
        return home.epoch >= record.epoch && (try? DID(parsing: home.did)) != record.newAgent
    }

    /// Makes the copy the agent's home; safe to repeat after a crash at any point.
    ///
    /// - Returns: the digest the agent gives before its first request here.
    private func settle(_ record: MoveRecord) async throws -> String {
        guard let prepared = record.prepared else {
            throw OperationFailure(.conflict, "the move is not ready to be committed")
        }
        guard try await isHome(record) else {
            throw OperationFailure(.conflict, "the registry does not name this peer the home of \(record.lineage)")
        }
        let name = record.progress.sandbox
        try await services.sandboxes.beginChange(of: name)
        do {
            let digest = try await install(record, prepared)
            await services.sandboxes.endChange(of: name)
            return digest
        } catch {
            await services.sandboxes.endChange(of: name)
            throw error
        }
    }

    private func install(_ record: MoveRecord, _ prepared: MoveRecord.Prepared) async throws -> String {
        let name = record.progress.sandbox
        let started = ContinuousClock.now
        let (sandboxes, driver) = (services.sandboxes, services.sandboxes.driver)
        if !driver.names().contains(name) { try await driver.create(prepared.record.spec) }
        if try driver.state(of: name).isAlive, try await sandboxes.record(name).epoch < record.epoch {
            try await driver.stop(name, grace: .zero)
        }
        let (tree, retired) = (moveFolder(record.id) + "/tree", moveFolder(record.id) + "/retired")
        let workspace = try driver.folders(of: name).workspace
        try await DiskWork.run { try MoveFolder.install(tree: tree, as: workspace, retired: retired) }
        try await sandboxes.save(prepared.record)
        let installed = ContinuousClock.now
        try await sandboxes.run(name)
        let ran = ContinuousClock.now
        let socket = try driver.gatewaySocket(of: name)
        let digest = try await services.hooks.digest(socket)
        services.gate.open(name, token: prepared.state.gatewayToken, route: .local(socket: socket))
        var done = record
        done.progress.phase = .complete
        done.progress.digestAfter = digest
        try await services.journal.write(done)
        await moves[record.id]?.finish()
        moves[record.id] = nil
        invitations[record.lineage] = nil
        services.logger.info(
            "took in",
            [
                "sandbox": name, "from": record.peer.did, "install_ms": (installed - started).milliseconds,
                "start_ms": (ran - installed).milliseconds,
            ])
        let folder = moveFolder(record.id)
        Task.detached { try? await DiskWork.run { try MoveFolder.remove(folder) } }
        return digest
    }

    /// After a restart: what was not promised is forgotten; its giver hears so at its next step.
    func forgetUnpromised(_ records: [MoveRecord]) async {
        for record in records where record.role == .taker && record.prepared == nil {
            do { try await forget(record, because: "this peer restarted") } catch {
                services.logger.error("an old move could not be ended", ["move": record.id, "error": "\(error)"])
            }
        }
    }

    /// After a restart: what was promised waits for the registry's word.
    func recover(_ records: [MoveRecord]) {
        for record in records where record.role == .taker && record.prepared != nil {
            Task { await self.settleWhenDecided(record) }
        }
    }

    /// Asks the registry until the record says who has the agent.
    private func settleWhenDecided(_ record: MoveRecord) async {
        while true {
            do {
                guard try await find(record.id) != nil else { return }
                if try await isHome(record) {
                    _ = try await settle(record)
                    return
                }
                if try await isPassed(record) {
                    return try await forget(record, because: "the agent went elsewhere")
                }
            } catch {
                services.logger.warn("a promised copy waits", ["move": record.id, "error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(2))
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

    private static let strangersMove = OperationFailure(.refused, "this move belongs to another peer")
}
