import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Synchronization
import Transport

/// Moves agents between this peer and others (design decisions 3 to 6).
public actor HandoffService {
    private let services: MoveServices
    private let incoming: IncomingMoves
    private let pairings: PairingService
    private let fence: HomeFence
    private let homes: PresentHome
    private var outgoing: [String: OutgoingMove] = [:]
    /// Those that have not let go of their sandboxes yet.
    private var concluding: Set<String> = []
    /// How long a move may take to let go of its sandbox once it is said to be over.
    private static let endPatience = Duration.seconds(5)
    /// Agents at home here that the registry has not confirmed since the start.
    private var unconfirmed: Set<String> = []

    public init(
        identity: Identity, store: NodeStore, calls: MeshCalls, registry: RegistryClient,
        sandboxes: SandboxService, gate: Gate, pairings: PairingService, folder: String, direct: DirectPolicy,
        loop: EventLoop, logger: Logger
    ) {
        services = MoveServices(
            identity: identity, calls: calls, registry: registry, sandboxes: sandboxes, gate: gate,
            journal: MoveJournal(store: store), hooks: AgentHooks(loop: loop), direct: direct,
            places: PlaceFinder(calls: calls, pairings: pairings), loop: loop, logger: logger)
        incoming = IncomingMoves(services: services, folder: folder + "/moves")
        fence = HomeFence(services: services)
        homes = PresentHome(services: services, pairings: pairings)
        self.pairings = pairings
    }

    /// Adds the operations of moves to what this peer can do.
    public nonisolated func register(in table: OperationTable) {
        let incoming = self.incoming
        table.register(StartHandoff.self) { request, _ in try await self.start(request) }
        table.register(PlanHandoff.self) { request, _ in try await self.plan(request) }
        table.register(AssessMove.self) { try await incoming.assess($0, from: $1) }
        table.register(HandoffStatus.self) { request, _ in try await self.status(request.sandboxName) }
        table.register(AbortHandoff.self) { request, _ in try await self.abort(request.sandboxName) }
        table.register(OfferMove.self) { try await incoming.take($0, from: $1) }
        table.register(SendManifest.self) { try await incoming.take($0, from: $1) }
        table.register(ListMissing.self) { try await incoming.missing($0, from: $1) }
        table.register(SendChunks.self) { try await incoming.take($0, from: $1) }
        table.register(SendCredentials.self) { try await incoming.take($0, from: $1) }
        table.register(SendAudit.self) { try await incoming.take($0, from: $1) }
        table.register(CheckAgentAudit.self) { request, _ in try await self.audit(request.sandboxName) }
        table.register(BuildTree.self) { try await incoming.build($0, from: $1) }
        table.register(CommitMove.self) { try await incoming.commit($0, from: $1) }
        table.register(CancelMove.self) { try await incoming.cancel($0, from: $1) }
        table.register(AskFate.self) { try await self.fate($0.id, $1) }
        table.register(RequestMove.self) { try await self.give($0.lineage, to: $1) }
        table.register(RequestedMoveStatus.self) { try await self.requestedStatus($0.lineage, $1) }
        table.register(AbortRequestedMove.self) { try await self.abortRequested($0.lineage, $1) }
        let gate = services.gate, sandboxes = services.sandboxes
        table.register(ForwardRequest.self) { request, caller in
            // Only a gate the agent has moved away from sends requests on.
            guard case .peer(let peer, _) = caller,
                try await sandboxes.record(request.agent).formerHomes.contains(peer.did)
            else { throw OperationFailure(.refused, "no agent of that name ever lived at the caller") }
            return try await gate.answer(request)
        }
        table.register(OpenStream.self) { request, caller in
            guard case .peer(let peer, _) = caller,
                try await sandboxes.record(request.agent).formerHomes.contains(peer.did)
            else { throw OperationFailure(.refused, "no agent of that name ever lived at the caller") }
            try await gate.answer(request, from: peer)
            return Done()
        }
        // Both find only streams between the caller and this peer.
        table.register(SendOnStream.self) { request, caller in
            guard case .peer(let peer, _) = caller else { return Done() }
            try await gate.openStreams?.take(request, from: peer)
            return Done()
        }
        table.register(CloseStream.self) { request, caller in
            guard case .peer(let peer, _) = caller else { return Done() }
            await gate.openStreams?.take(request, from: peer)
            return Done()
        }
    }

    /// Takes what a giver sends without the relay (`POST` at the gateway).
    ///
    /// - Returns: nil for what is no such request.
    public nonisolated func answer(_ request: HTTPRequest) async -> HTTPResponse? {
        guard let id = DirectWay.move(in: request.path) else { return nil }
        guard request.method == "POST" else { return .text("{\"error\":\"only POST\"}", status: 405) }
        guard let answer = await incoming.takeDirect(id, request.body) else {
            return .text("{\"error\":\"no such move\"}", status: 404)
        }
        return HTTPResponse(status: 200, headers: ["content-type": "application/octet-stream"], body: .bytes(answer))
    }

    // MARK: Recovery

    /// Lets go of agents that the registry says live elsewhere; call it before the sandboxes are taken up.
    ///
    /// - Returns: sandboxes whose move had not ended when this peer stopped; they are left to ``recover()``.
    public func beginRecovery() async throws -> Set<String> {
        try await services.journal.prune()
        let unfinished = try await services.journal.unfinished().filter { $0.role == .giver || $0.prepared != nil }
        for record in unfinished where record.role == .giver {
            try? await services.sandboxes.beginChange(of: record.progress.sandbox)
        }
        let moving = Set(unfinished.map(\.progress.sandbox))
        let atHome = try await services.journal.sandboxes().filter {
            $0.home.key == services.identity.publicKey && !moving.contains($0.name)
        }
        unconfirmed = await fence.correct(atHome)
        return moving
    }

    /// Forgets what other peers had only begun to bring, and brings every other move that a stop or crash
    /// interrupted to its end, each on its own; call it once the sandboxes are taken up and before anyone can reach
    /// this peer. Whatever needs relay or registry is tried until they are there.
    public func recover() async {
        let unfinished: [MoveRecord]
        do {
            await incoming.beginRecovery(try await services.journal.unfinished())
            unfinished = try await services.journal.unfinished()
        } catch {
            return services.logger.error("interrupted moves cannot be read", ["error": "\(error)"])
        }
        for record in unfinished where record.role == .giver {
            do { try await takeUp(record) } catch {
                services.logger.error("a move cannot be taken up", ["move": record.id, "error": "\(error)"])
            }
        }
        await thawAborted(except: Set(unfinished.map(\.progress.sandbox)))
        await incoming.recover(unfinished)
        let fence = self.fence
        for name in unconfirmed { Task { await fence.follow(name) } }
        unconfirmed = []
    }

    /// A crash may have come between the journal's word that a move was aborted and the agent's hook; its
    /// sandbox runs again, but the agent would take no turn.
    private func thawAborted(except moving: Set<String>) async {
        for sandbox in (try? await services.journal.sandboxes()) ?? []
        where sandbox.home.key == services.identity.publicKey && !moving.contains(sandbox.name) {
            guard let move = try? await services.journal.newest(of: sandbox.name), move.role == .giver,
                move.progress.phase == .aborted
            else { continue }
            do { try await services.hooks.thaw(try services.sandboxes.driver.gatewaySocket(of: sandbox.name)) } catch {
                services.logger.warn("an agent was not thawed", ["sandbox": sandbox.name, "error": "\(error)"])
            }
        }
    }

    private func takeUp(_ record: MoveRecord) async throws {
        let name = record.progress.sandbox
        let move = OutgoingMove(record, services: services)
        outgoing[name] = move
        services.gate.open(name, token: try await services.sandboxes.token(of: name), route: .stopped)
        _ = await services.gate.hold(name)
        services.logger.info("resuming a move", ["move": record.id, "phase": record.progress.phase.rawValue])
        conclude(move, of: name) { await $0.resume() }
    }

    /// Lets a move run to its end; until then no other operation changes its sandbox.
    private func conclude(
        _ move: OutgoingMove, of name: String, _ run: @escaping @Sendable (OutgoingMove) async -> Void
    ) {
        let sandboxes = services.sandboxes
        concluding.insert(name)
        Task {
            await run(move)
            await sandboxes.endChange(of: name)
            concluding.remove(name)
        }
    }

    // MARK: Starting

    private func start(_ request: StartHandoff) async throws -> HandoffProgress {
        let sandbox = try await services.sandboxes.record(request.sandboxName)
        if isHere(request.target) {
            guard sandbox.home.key != services.identity.publicKey else { throw Self.alreadyHome(request.sandboxName) }
            return try await fetch(sandbox)
        }
        let (peer, name) = try await taker(request.target, of: sandbox)
        return try await give(sandbox, to: peer, named: name, by: "operator")
    }

    /// What a move would do.
    private func plan(_ request: PlanHandoff) async throws -> PlanHandoff.Answer {
        let (name, sandboxes) = (request.sandboxName, services.sandboxes)
        let sandbox = try await sandboxes.record(name)
        if isHere(request.target) {
            guard sandbox.home.key != services.identity.publicKey else { throw Self.alreadyHome(name) }
            let home = try await homes.find(sandbox)
            throw OperationFailure(
                .refused, "\(name) lives at \(home.homeName), and what would move is known there",
                hint: "run this there, or move it: 'kars handoff \(name) --to local'")
        }
        let (asked, peerName) = try await taker(request.target, of: sandbox)
        try await checkStill(name)
        let place = try await services.places.presentPlace(for: sandbox, at: asked)
        let workspace = try sandboxes.driver.folders(of: name).workspace
        let manifest = try await DiskWork.run {
            do { return try WorkspaceScanner(root: workspace).scan(mode: .live).0 } catch {
                throw OperationFailure(.refused, "the workspace of \(name) cannot move: \(error)")
            }
        }
        guard let home = try await services.registry.home(of: sandbox.lineage) else {
            throw OperationFailure(.refused, "the registry knows no home of \(name)")
        }
        let agent = try await sandboxes.agentIdentity(name)
        let offer = OfferMove(
            id: FrameID.make(), spec: sandbox.spec, lineage: sandbox.lineage, agentKey: agent.publicKey,
            epoch: home.epoch + 1, workspaceBytes: Int(manifest.totalBytes))
        var hasOlderCopy = false
        if let peer = place { hasOlderCopy = try await services.calls.call(AssessMove(offer: offer), of: peer).hasOlderCopy }
        let last = try await services.journal.newest(of: name)
        return PlanHandoff.Answer(
            sandbox: name, peer: peerName, files: manifest.entries.count, bytes: Int(manifest.totalBytes),
            hasOlderCopy: hasOlderCopy, lastFreezeMilliseconds: last?.progress.freezeMilliseconds)
    }

    private func isHere(_ target: String) -> Bool { target == "local" || target == services.sandboxes.peerName }

    private static func alreadyHome(_ name: String) -> OperationFailure {
        OperationFailure(.refused, "\(name) is at home here already")
    }

    /// The peer that a target means, for an agent that lives here.
    private func taker(
        _ target: String, of sandbox: SandboxRecord
    ) async throws -> (peer: PeerIdentity, name: String) {
        let pairing = try await self.target(target)
        guard let peerKey = pairing.peerKey else {
            throw OperationFailure(.refused, "the pairing \"\(pairing.name)\" is not complete")
        }
        let peer = PeerIdentity(key: peerKey)
        guard sandbox.home.key == services.identity.publicKey else {
            throw OperationFailure(
                .refused,
                sandbox.home == peer
                    ? "\(sandbox.name) lives at \(sandbox.homeName) already"
                    : "\(sandbox.name) lives at \(sandbox.homeName)",
                hint: "bring it home first: 'kars handoff \(sandbox.name) --to local'")
        }
        return (peer, pairing.peerName ?? pairing.name)
    }

    /// Finds the pairing a person means by `cloud`, or by its name or its peer's.
    private func target(_ name: String) async throws -> Pairing {
        // Those a controller made known are reached through it.
        let active = try await pairings.list().filter { $0.phase == .active && !$0.isIntroduced }
        let named = active.filter { $0.name == name || $0.peerName == name }
        if named.count == 1 { return named[0] }
        if named.count > 1 {
            throw OperationFailure(
                .invalid, "\"\(name)\" could be \(named.map(\.name).joined(separator: " or "))",
                hint: "use the pairing's name")
        }
        let others = active.filter { $0.capabilities.contains(.handoff) }
        if name == "cloud", others.count == 1 { return others[0] }
        throw OperationFailure(
            .notFound, "no paired peer is called \"\(name)\"",
            hint: active.isEmpty
                ? "pair first: 'kars pair generate' there, 'kars pair accept' here"
                : "'kars pair list' shows the pairings: \(active.map(\.name).joined(separator: ", "))")
    }

    private func give(
        _ sandbox: SandboxRecord, to peer: PeerIdentity, named peerName: String, by caller: String
    ) async throws -> HandoffProgress {
        let name = sandbox.name
        try await checkStill(name)
        // From here to the move's end nobody else moves, destroys or replaces the agent.
        try await services.sandboxes.beginChange(of: name)
        do {
            guard try await services.sandboxes.record(name) == sandbox else {
                throw OperationFailure(.conflict, "\(name) has just changed; try again")
            }
            let record = MoveRecord(
                role: .giver,
                progress: HandoffProgress(
                    id: FrameID.make(), sandbox: name, direction: "out", peer: peerName, peerDID: peer.did.text,
                    startedAt: Date()),
                peer: peer, lineage: sandbox.lineage, epoch: sandbox.epoch + 1, oldAgent: sandbox.agent)
            // On disk before the caller hears of it: whoever asks next finds it. Both share a commit.
            async let noted: Void = services.sandboxes.audit.append(
                sandbox.lineage, agent: caller, action: "handoff:init", decision: "success")
            async let written: Void = services.journal.write(record)
            _ = try await (noted, written)
            let move = OutgoingMove(record, services: services)
            outgoing[name] = move
            conclude(move, of: name) { await $0.run() }
            return record.progress
        } catch {
            await services.sandboxes.endChange(of: name)
            throw error
        }
    }

    private func checkStill(_ name: String) async throws {
        guard let move = outgoing[name], await !move.progress.phase.isOver else {
            // Whoever read that the last one is over may begin the next one at once.
            let deadline = ContinuousClock.now + Self.endPatience
            while concluding.contains(name), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
            return
        }
        throw OperationFailure(
            .conflict, "\(name) is moving already", hint: "'kars handoff \(name) --status' shows how far it is")
    }

    // MARK: Bringing home

    private func fetch(_ known: SandboxRecord) async throws -> HandoffProgress {
        try await checkStill(known.name)
        let sandbox = try await homes.find(known)
        await incoming.invite(sandbox.lineage, from: sandbox.home)
        do {
            let progress = seenFromHere(
                try await services.calls.call(RequestMove(lineage: sandbox.lineage), of: sandbox.home), sandbox)
            // From now on this is the newest move here, also before the giver has offered anything.
            try await services.journal.writeIfAbsent(
                MoveRecord(
                    role: .taker, progress: progress, peer: sandbox.home, lineage: sandbox.lineage,
                    epoch: sandbox.epoch + 1, oldAgent: sandbox.agent))
            return progress
        } catch {
            await incoming.withdrawInvitation(sandbox.lineage)
            throw error
        }
    }

    /// A giver's report as the taker's operator reads it.
    private func seenFromHere(_ progress: HandoffProgress, _ sandbox: SandboxRecord) -> HandoffProgress {
        var seen = progress
        seen.direction = "in"
        seen.sandbox = sandbox.name
        seen.peer = sandbox.homeName
        seen.peerDID = sandbox.home.did.text
        return seen
    }

    /// A peer asks for an agent that lives here: its former home, or one whose pairing grants handoff.
    private func give(_ lineage: DID, to caller: OperationCaller) async throws -> HandoffProgress {
        let (peer, pairing, sandbox) = try await requested(lineage, caller)
        guard sandbox.home.key == services.identity.publicKey else {
            throw OperationFailure(.refused, "that agent does not live here")
        }
        return try await give(
            sandbox, to: peer, named: pairing.peerName ?? pairing.name, by: peer.did.text)
    }

    private func requested(
        _ lineage: DID, _ caller: OperationCaller
    ) async throws -> (PeerIdentity, Pairing, SandboxRecord) {
        guard case .peer(let peer, let pairing?) = caller, pairing.capabilities.contains(.handoff),
            let sandbox = await services.sandboxes.record(ofLineage: lineage),
            sandbox.formerHomes.contains(peer.did) || sandbox.home == peer
        else {
            // One answer for all: which agents live here is not for everyone.
            throw OperationFailure(.refused, "the caller may not ask for that agent")
        }
        return (peer, pairing, sandbox)
    }

    /// How a move stands, for the peer that it goes to.
    private func fate(_ id: String, _ caller: OperationCaller) async throws -> AskFate.Answer {
        guard case .peer(let peer, _) = caller, let record = try await services.journal.move(id),
            record.role == .giver, record.peer == peer
        else { return AskFate.Answer(phase: nil) }
        return AskFate.Answer(phase: record.progress.phase)
    }

    private func requestedStatus(_ lineage: DID, _ caller: OperationCaller) async throws -> HandoffProgress {
        let (_, _, sandbox) = try await requested(lineage, caller)
        return try await ownStatus(sandbox.name)
    }

    private func abortRequested(_ lineage: DID, _ caller: OperationCaller) async throws -> HandoffProgress {
        let (_, _, sandbox) = try await requested(lineage, caller)
        return try await abortOwn(sandbox.name)
    }

    // MARK: Audit

    /// Holds the agent's record of decisions against itself, its signatures and the registry's homes.
    private func audit(_ name: String) async throws -> CheckAgentAudit.Answer {
        let sandbox = try await services.sandboxes.record(name)
        let kept = try await services.sandboxes.audit.whole(of: sandbox.lineage)
        var homes: [Int: DID] = [:]
        // Without the registry the rest can be told all the same.
        for entry in (try? await services.registry.latestHomes(of: sandbox.lineage, limit: 100)) ?? [] {
            homes[entry.epoch] = entry.home
        }
        var faults: [String] = []
        if let row = kept.firstBrokenRow { faults.append("row \(row) does not follow from the one before") }
        for epoch in kept.brokenHeads(of: sandbox.lineage) {
            faults.append("the signature of the move to epoch \(epoch) does not fit the rows")
        }
        let moves = kept.heads.map { head in
            let isKnown = homes[head.epoch - 1].map { $0.names(head.key) }
            if isKnown == false {
                faults.append("\(head.key.did) signed the move to epoch \(head.epoch) and was not the home")
            }
            return CheckAgentAudit.Answer.Move(
                epoch: head.epoch, row: head.sequence, giver: head.key.did.text, isKnown: isKnown)
        }
        for row in kept.rows where row.action == "handoff:restore" && row.decision == "flagged" {
            faults.append("row \(row.sequence): what came with the agent did not continue what was here")
        }
        return CheckAgentAudit.Answer(rows: kept.rows, moves: moves, faults: faults)
    }

    // MARK: Status and abort

    private func status(_ name: String) async throws -> HandoffProgress {
        let sandbox = try await services.sandboxes.record(name)
        let own = try await services.journal.newest(of: name)
        // While another peer gives an agent to this one, it knows most.
        if let own, own.role == .taker, !own.progress.phase.isOver || own.progress.freezeMilliseconds == nil {
            let giver = try? await services.calls.call(RequestedMoveStatus(lineage: own.lineage), of: own.peer)
            if let giver, giver.id == own.id {
                var seen = seenFromHere(giver, sandbox)
                seen.peer = own.progress.peer
                seen.peerDID = own.progress.peerDID
                return try await reconcile(own, with: seen)
            }
        }
        return try await ownStatus(name)
    }

    /// What the giver says is shown; whether the move is over here, this peer's own steps decide.
    private func reconcile(_ own: MoveRecord, with seen: HandoffProgress) async throws -> HandoffProgress {
        if seen.phase == .aborted, !own.progress.phase.isOver {
            // A promised copy goes when the registry agrees, which its own watch asks.
            try? await incoming.giveUp(own.id, because: seen.error ?? "ended by \(own.progress.peer)")
        } else if own.progress.phase == .complete, seen.phase == .complete {
            var record = own
            record.progress = seen
            record.progress.digestAfter = own.progress.digestAfter
            try await services.journal.write(record)
        }
        return seen
    }

    private func ownStatus(_ name: String) async throws -> HandoffProgress {
        if let move = outgoing[name] {
            let progress = await move.progress
            if try await services.journal.newest(of: name)?.id == progress.id { return progress }
        }
        guard let record = try await services.journal.newest(of: name) else {
            throw OperationFailure(.notFound, "\(name) has not moved yet", hint: "'kars handoff \(name) --to cloud' moves it")
        }
        return record.progress
    }

    private func abort(_ name: String) async throws -> HandoffProgress {
        if let own = try await services.journal.newest(of: name), own.role == .taker, !own.progress.phase.isOver {
            do {
                return try await services.calls.call(AbortRequestedMove(lineage: own.lineage), of: own.peer)
            } catch where own.prepared == nil {
                // The giver does not end it, or cannot be reached; nothing is promised, so it ends here.
                try await incoming.giveUp(own.id, because: "aborted by the operator")
                return try await ownStatus(name)
            }
        }
        return try await abortOwn(name)
    }

    private func abortOwn(_ name: String) async throws -> HandoffProgress {
        guard let move = outgoing[name], await !move.progress.phase.isOver else {
            throw OperationFailure(.refused, "\(name) is not moving")
        }
        try await move.requestAbort()
        // Between two steps a step may run for a while; the answer says where the move stands then.
        let deadline = ContinuousClock.now + .seconds(45)
        while ContinuousClock.now < deadline, await !move.progress.phase.isOver {
            try await Task.sleep(for: .milliseconds(20))
        }
        return await move.progress
    }
}
