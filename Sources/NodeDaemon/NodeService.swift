import Controller
import FoundationEssentials
import Handoff
import MeshIdentity
import MeshNode
import Observability
import Offload
import Resources
import Sandboxes
import Storage
import Synchronization
import Transport

/// The peer of one place: its agents, its gate, its word on the mesh (`kars node`).
///
/// What needs no other machine comes first: after a start the agents at home answer again even while relay and
/// registry are away. The mesh is joined in the background and rejoined after every loss.
public final class NodeService: Sendable {
    /// How long a question about this peer waits for the registry, in seconds.
    private static let registryPatience = 2

    private let configuration: NodeConfiguration
    private let logger: Logger
    private let health: Health
    private let loop: EventLoop
    private let lock: FileLock
    private let store: NodeStore
    private let identity: Identity
    private let registry: RegistryClient
    private let pairings: PairingService
    private let calls: MeshCalls
    private let client: MeshClient
    private let gate: Gate
    private let sandboxes: SandboxService
    private let handoffs: HandoffService
    private let offloads: OffloadService
    private let table: OperationTable
    private let controller: ClusterController?

    private struct Running: Sendable {
        var socket: NodeSocket?
        var server: Server?
        var background: [Task<Void, Never>] = []
    }

    private let running = Mutex(Running())
    private let isRegistered = Mutex(false)
    /// Whether the agents are taken up and the gate knows them.
    private let isOpen = Mutex(false)

    /// Opens identity and state; nothing is reachable before ``start()``.
    public init(
        configuration: NodeConfiguration, logger: Logger, metrics: Metrics, health: Health
    ) async throws {
        if configuration.gatewayTLS == nil, !configuration.gateway.isLoopback, !configuration.allowPlaintext {
            throw OperationFailure(
                .invalid, "the gateway \(configuration.gateway) is beyond loopback and has no certificate",
                hint: "give --tls-cert and --tls-key, or --allow-plaintext if that is what you want")
        }
        self.configuration = configuration
        self.logger = logger
        self.health = health
        try AtomicFile.makeFolder(configuration.homeFolder)
        try AtomicFile.makeFolder(configuration.dataFolder)
        lock = try FileLock(path: configuration.homeFolder + "/" + NodeConfiguration.lockName)
        loop = try EventLoop(name: "node")
        let environment = ProcessInfo.processInfo.environment
        let keys = try HomeKeys.open(
            folder: configuration.homeFolder, environment: environment, ask: configuration.askPassphrase)
        let identity = try HomeIdentity.open(
            folder: configuration.homeFolder, sealer: keys.identity, environment: environment, logger: logger)
        self.identity = identity
        let store = try NodeStore(folder: configuration.dataFolder, sealer: keys.data) { [logger, health] in
            health.report($0, logger)
        }
        self.store = store
        let registry = RegistryClient(
            url: configuration.registry, tls: configuration.tls, loop: loop,
            log: try RegistryLog(registry: configuration.registry, folder: configuration.homeFolder))
        self.registry = registry
        let isOpen = configuration.cluster?.settings.federates ?? true
        let pairings = PairingService(
            store: store, identity: identity, peerName: configuration.name,
            relayURL: configuration.relay.description, registryURL: configuration.registry.description,
            logger: logger, honours: { isOpen || ClusterController.isPod(pairing: $0.name) })
        self.pairings = pairings
        let audit = AuditChain(store: store)
        table = OperationTable(isOpen: isOpen) { caller, operation, decision in
            do {
                try await audit.append(agent: caller, action: operation, decision: decision)
            } catch {
                logger.error("the audit log cannot be written", ["error": "\(error)"])
            }
        }
        let messages = PairingMessageHandler(pairings: pairings)
        let calls = MeshCalls(
            table: table, controller: configuration.controller, logger: logger, pairingOf: { await pairings.active(with: $0) },
            others: { await messages.handle($0, $1, from: $2) })
        self.calls = calls
        messages.attach(calls)
        let ledger = OffloadLedger(store: store)
        client = try await MeshClient(
            identity: identity, registry: registry, store: store, logger: logger,
            policy: { knock in
                // Strangers get a session only while some token waits for one of them.
                var isPaired = await pairings.active(with: knock.peer) != nil
                // Whose pairing has ended may still collect what was done for it.
                if !isPaired { isPaired = (try? await ledger.isServing(knock.peer)) ?? false }
                if !isPaired, await !pairings.hasPendingToken() { return .reject(reason: "policy_denied") }
                var rules = KnockRules(
                    trustThreshold: configuration.trustThreshold, capabilities: Set(NodeConfiguration.capabilities),
                    requiresBinding: configuration.requiresSignedKnocks)
                if isPaired {
                    // The pairing is the trust, and a paired peer's node signs its KNOCKs whole.
                    rules.trustThreshold = 0
                    rules.requiresBinding = true
                }
                guard let sender = try? await registry.agent(knock.peer.did) else { return .tryLater }
                return rules.decide(knock, sender: sender)
            },
            onMessage: { calls.handle($1, from: $0) },
            onChange: { isConnected in
                if isConnected { health.becomeReady() } else { health.becomeUnready("not connected to the relay") }
            })
        calls.attach(client)
        gate = Gate(loop: loop, logger: logger, metrics: metrics) { try await calls.call($1, of: $0) }
        gate.carryStreams(over: calls)
        let driver = try await DriverChoice(
            wanted: configuration.driver, pod: configuration.pod, root: configuration.dataFolder + "/sandboxes",
            karsExecutable: configuration.karsExecutable, environment: environment, loop: loop, logger: logger
        ).make()
        sandboxes = SandboxService(
            driver: driver, identity: identity, peerName: configuration.name, store: store, registry: registry,
            door: gate, folder: configuration.dataFolder, logger: logger, metrics: metrics,
            fill: { try await WorkspaceCopy.copy(from: $0, to: $1) })
        handoffs = HandoffService(
            identity: identity, store: store, calls: calls, registry: registry, sandboxes: sandboxes,
            gate: gate, pairings: pairings, folder: configuration.dataFolder,
            direct: DirectPolicy(
                isAllowed: configuration.movesDirectly, advertised: configuration.advertised?.description,
                isNear: configuration.relay.isLoopback && configuration.gateway.isLoopback, tls: configuration.tls),
            loop: loop, logger: logger)
        offloads = OffloadService(
            store: store, calls: calls, pairings: pairings, sandboxes: sandboxes, hosts: configuration.cluster == nil,
            limits: configuration.offloads, folder: configuration.dataFolder, loop: loop, logger: logger)
        if let cluster = configuration.cluster {
            controller = ClusterController(
                client: KubernetesClient(configuration: cluster.api, loop: loop, logger: logger),
                settings: cluster.settings, identity: identity.publicKey, calls: calls, pairings: pairings, logger: logger)
        } else {
            controller = nil
        }
        registerOperations()
    }

    /// Starts everything and returns where the gateway listens.
    public func start() async throws -> Endpoint {
        let moving = try await handoffs.beginRecovery()
        var limits = ServerLimits()
        limits.maximumBodyBytes = 8 << 20
        let webUI = WebUI(gate: gate, sandboxes: sandboxes)
        let server = try await Server(
            loops: [loop], endpoint: configuration.gateway, tls: configuration.gatewayTLS, limits: limits,
            http: { [self, health, gate, handoffs] request in
                if let answer = health.answer(path: request.path) {
                    return .text(answer.body, status: answer.status, contentType: answer.contentType)
                }
                guard self.isOpen.withLock({ $0 }) else {
                    // The agents are not taken up yet: to call one of them unknown would be a lie.
                    var later = HTTPResponse.text("{\"error\":\"the node is starting\"}", status: 503)
                    later.headers["retry-after"] = "1"
                    return later
                }
                if let answer = webUI.answer(request) { return answer }
                if let answer = await handoffs.answer(request) { return answer }
                return await gate.handle(request)
            }, webSocket: { [gate] in gate.accept($0) })
        running.withLock { $0.server = server }
        let scheme = configuration.gatewayTLS == nil ? "http" : "https"
        await sandboxes.setGateway("\(scheme)://\(server.endpoint)")
        try await sandboxes.recover(except: moving)
        // An interrupted move that was not committed ends here, also while relay and registry are away.
        await handoffs.recover()
        try await offloads.resume()
        isOpen.withLock { $0 = true }
        let socket = try await NodeSocket(path: configuration.socketPath, loop: loop, table: table)
        running.withLock {
            $0.socket = socket
            $0.background.append(Task { await self.joinMesh() })
        }
        controller?.start()
        logger.info("node started", ["name": configuration.name, "did": identity.did])
        return server.endpoint
    }

    /// Ends what is under way and closes; the sandboxes go on running.
    public func stop() async {
        health.becomeUnready("draining")
        let parts = running.withLock { running in
            defer { running = Running() }
            return running
        }
        await controller?.stop()
        await offloads.stop()
        await sandboxes.stopKeeping()
        for task in parts.background { task.cancel() }
        await parts.server?.close()
        calls.stopStreams()
        await parts.socket?.close()
        client.stop()
        loop.shutdown()
        store.close()
    }

    /// Registers, publishes prekeys and connects, trying until it works.
    private func joinMesh() async {
        var wait = 1.0
        while !Task.isCancelled {
            do {
                try await register()
                isRegistered.withLock { $0 = true }
                try await client.start(
                    relay: configuration.relay, tls: configuration.tls, loop: loop,
                    token: configuration.relayToken)
                break
            } catch {
                health.becomeUnready("not registered")
                logger.warn("cannot join the mesh yet", ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(wait * Double.random(in: 0.8...1.2)))
                wait = min(60, wait * 2)
            }
        }
        guard !Task.isCancelled else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.redeemToken() }
            group.addTask {
                await MeshPresence(
                    identity: self.identity, registry: self.registry, client: self.client, logger: self.logger,
                    register: { try await self.register() }
                ).stay()
            }
        }
    }

    private func register() async throws {
        // Before it knows this peer, so that none knows it unnoticed.
        try Registrations.note(configuration.registry, in: configuration.homeFolder)
        try await registry.register(
            identity, capabilities: NodeConfiguration.capabilities, metadata: ["display_name": configuration.name])
    }

    /// Redeems the token this node was started with, unless it is paired with its issuer already; tries again
    /// while the relay or the issuer cannot be reached.
    private func redeemToken() async {
        guard let text = configuration.pairingToken else { return }
        var wait = 0.2
        while !Task.isCancelled {
            do {
                let token = try PairingToken(parsing: text)
                if await pairings.active(with: PeerIdentity(key: token.controllerKey)) != nil { return }
                let pairing = try await accept(AcceptPairing(token: text))
                return logger.info("paired", ["pairing": pairing.name])
            } catch let failure as OperationFailure where [.unavailable, .timedOut].contains(failure.code) {
                logger.warn("the pairing token waits", ["error": failure.message])
            } catch {
                return logger.error("the pairing token was not accepted", ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(wait * Double.random(in: 0.8...1.2)))
            wait = min(60, wait * 2)
        }
    }

    private func accept(_ request: AcceptPairing) async throws -> Pairing {
        let calls = self.calls
        return try await pairings.accept(request) { try await calls.post($0, to: $1) }
    }

    private func registerOperations() {
        let (sandboxes, pairings) = (sandboxes, pairings)
        if let controller { controller.register(in: table) } else { registerSandboxOperations() }
        let (calls, offloads) = (calls, offloads)
        table.register(DestroyElsewhere.self) { request, _ in
            try await sandboxes.destroyElsewhere(request, asking: calls)
            return Done()
        }
        table.register(ListGuests.self) { _, caller in
            guard case .peer(let peer, _) = caller else { return [] }
            return await sandboxes.guests(of: peer)
        }
        table.register(DestroyGuest.self) { request, caller in
            guard case .peer(let peer, _) = caller else { throw Self.peersOnly(DestroyGuest.name) }
            try await sandboxes.destroyGuest(request.lineage, for: peer)
            return Done()
        }
        let audit = AuditReader(store: store), chain = AuditChain(store: store)
        table.register(ReadAudit.self) { request, _ in
            var lineage: DID?
            if let name = request.sandboxName { lineage = try await sandboxes.record(name).lineage }
            return try await audit.read(request, of: lineage)
        }
        table.register(CheckAudit.self) { _, _ in try await chain.check() }
        table.register(stream: StreamLogs.self) { request, _ in try await sandboxes.streamLogs(request, asking: calls) }
        table.register(stream: StreamShell.self) { request, _ in try await sandboxes.streamShell(request, asking: calls) }
        table.register(stream: StreamGuestLogs.self) { request, caller in
            guard case .peer(let peer, _) = caller else { throw Self.peersOnly(StreamGuestLogs.name) }
            return try await sandboxes.streamGuestLogs(request, for: peer)
        }
        table.register(stream: StreamGuestShell.self) { request, caller in
            guard case .peer(let peer, _) = caller else { throw Self.peersOnly(StreamGuestShell.name) }
            return try await sandboxes.streamGuestShell(request, for: peer)
        }
        table.register(SandboxShell.self) { request, _ in try await sandboxes.shell(request.sandboxName) }
        let isController = controller != nil
        let isFederating = configuration.cluster?.settings.federates ?? true
        table.register(GeneratePairing.self) { request, _ in
            guard isFederating else { throw OperationTable.closed }
            if let name = request.pairingName, isController, ClusterController.isPod(pairing: name) {
                throw ClusterController.podPairing
            }
            return try await pairings.generate(request)
        }
        table.register(AcceptPairing.self) { [weak self] request, _ in
            guard let self else { throw OperationFailure(.unavailable, "the node is stopping") }
            guard isFederating else { throw OperationTable.closed }
            return try await accept(request)
        }
        // A controller's pairings with its pods are its own matter: without them it would lose them.
        let isOwn = { @Sendable (name: String) in isController && ClusterController.isPod(pairing: name) }
        table.register(ListPairings.self) { _, _ in try await pairings.list().filter { !isOwn($0.name) } }
        table.register(InspectPairing.self) { request, _ in try await pairings.inspect(request.pairingName) }
        table.register(RevokePairing.self) { request, _ in
            if isOwn(request.pairingName) { throw ClusterController.podPairing }
            let pairing = try await pairings.revoke(request.pairingName)
            await calls.reconsiderStreams()
            await offloads.pairingEnded(pairing, stops: request.stopOffloads ?? false)
            return pairing
        }
        table.register(RemovePairing.self) { request, _ in
            if isOwn(request.pairingName) { throw ClusterController.podPairing }
            let pairing = try await pairings.remove(request.pairingName)
            await calls.reconsiderStreams()
            await offloads.pairingEnded(pairing, stops: false)
            return pairing
        }
        let (registry, identity) = (registry, identity)
        table.register(RevokeIdentity.self) { request, _ in
            let certificate: RevocationCertificate
            do {
                certificate = try RevocationCertificate.make(
                    identity: identity, reason: request.reason, now: Date())
            } catch {
                throw OperationFailure(.invalid, "\(error)")
            }
            try await registry.revoke(certificate)
            return RevokeIdentity.Answer(did: identity.did.text)
        }
        table.register(PeerStatus.self) { [weak self] _, _ in
            guard let self else { throw OperationFailure(.unavailable, "the node is stopping") }
            return try await status()
        }
        table.register(IntroducePeer.self) { request, caller in
            guard case .controller(let controller) = caller else { throw Self.controllersOnly(IntroducePeer.name) }
            _ = try await pairings.introduce(
                PeerIdentity(key: request.peer), named: request.peerName, as: request.peerName, by: controller,
                capabilities: request.capabilities, expiresAt: request.expiresAt)
            return Done()
        }
        table.register(WithdrawPeer.self) { request, caller in
            guard case .controller(let controller) = caller else { throw Self.controllersOnly(WithdrawPeer.name) }
            try await pairings.withdraw(PeerIdentity(key: request.peer), by: controller)
            await calls.reconsiderStreams()
            return Done()
        }
        handoffs.register(in: table)
        offloads.register(in: table)
    }

    /// Of a peer that runs its agents itself.
    private func registerSandboxOperations() {
        let (sandboxes, calls) = (sandboxes, calls)
        table.register(FetchImage.self) { request, _ in try await sandboxes.fetchImage(request) }
        table.register(CreateSandbox.self) { request, _ in try await sandboxes.create(request) }
        table.register(UpdateCredentials.self) { request, _ in try await sandboxes.updateCredentials(request) }
        table.register(StartSandbox.self) { request, _ in try await sandboxes.start(request.sandboxName) }
        table.register(ListSandboxes.self) { request, _ in
            request.askPeers == true ? await sandboxes.list(asking: calls) : await sandboxes.list()
        }
        table.register(SandboxStatus.self) { request, _ in try await sandboxes.status(request.sandboxName) }
        table.register(SandboxToken.self) { request, caller in
            guard case .operatorOfThisPeer = caller else {
                throw OperationFailure(.refused, "\(SandboxToken.name) is for the operator of this peer only")
            }
            guard let file = try await sandboxes.status(request.sandboxName).tokenFile,
                let token = try AtomicFile.read(file, limit: 4096)
            else { throw OperationFailure(.failed, "the token of \(request.sandboxName) cannot be read") }
            return SandboxToken.Answer(token: String(decoding: token.filter { $0 > 0x20 }, as: UTF8.self))
        }
        table.register(SandboxLogs.self) { request, _ in try await sandboxes.logs(request) }
        table.register(DestroySandbox.self) { request, _ in
            try await sandboxes.destroy(request)
            return Done()
        }
        // An agent that comes here lives here.
        table.register(FindPlace.self) { _, _ in FindPlace.Answer() }
    }

    private static func peersOnly(_ operation: String) -> OperationFailure {
        OperationFailure(.refused, "\(operation) is for other peers")
    }

    private static func controllersOnly(_ operation: String) -> OperationFailure {
        OperationFailure(.refused, "\(operation) is for the controller of this peer only")
    }

    private func status() async throws -> PeerStatus.Answer {
        var answer = PeerStatus.Answer(
            name: configuration.name, did: identity.did.text, amid: identity.publicKey.amid,
            publicKey: Base64.encodeURL(identity.publicKey.bytes), relay: configuration.relay.description,
            relayConnected: client.isConnected, registry: configuration.registry.description,
            registered: isRegistered.withLock { $0 }, sandboxes: await sandboxes.count,
            pairings: try await pairings.list().count { $0.phase == .active },
            gateway: running.withLock { $0.server?.endpoint.description ?? "" })
        answer.takesImages = sandboxes.driver.takesImages
        let (registry, did) = (registry, identity.did)
        answer.tier = try? await withTimeout(seconds: Self.registryPatience) { try await registry.agent(did)?.tier }
        return answer
    }
}
