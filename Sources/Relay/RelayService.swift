import FoundationEssentials
import Observability
import Storage
import Synchronization
import Transport

/// A store-and-forward relay for sealed frames (AgentMesh wire §5).
///
/// It sees addresses and ciphertext only. A message is on disk before its sender is told so, and stays there
/// until its recipient acks it.
public final class RelayService: Sendable {
    /// The file in the data folder that holds the messages.
    public static let databaseName = "inbox.db"

    /// What runs between ``start()`` and ``stop()``.
    private struct Parts: Sendable {
        let lock: FileLock
        let loops: [EventLoop]
        let store: SQLiteInbox
        let context: RelayContext
        var server: Server?
    }

    private enum Phase: Sendable {
        case idle
        case starting
        case running(Parts)
        case stopped
    }

    /// Time between two deletions of what expired.
    private static let expiryInterval: Duration = .seconds(60)
    /// Time between two looks at the memory.
    private static let memoryInterval: Duration = .milliseconds(500)

    private let configuration: RelayConfiguration
    private let logger: Logger
    private let metrics: RelayMetrics
    private let health: Health
    private let now: @Sendable () -> Date
    private let clocks: SteadyClock.Sources
    private let phase = Mutex(Phase.idle)

    /// - Throws: ``RelayError`` for a configuration that is insecure or cannot work.
    public convenience init(
        configuration: RelayConfiguration, logger: Logger, metrics: Metrics, health: Health
    ) throws {
        try self.init(
            configuration: configuration, logger: logger, metrics: metrics, health: health, now: { Date() })
    }

    /// - Parameters:
    ///   - now: the time of day, for proofs and access tokens.
    ///   - clocks: what lifetimes of messages follow.
    init(
        configuration: RelayConfiguration, logger: Logger, metrics: Metrics, health: Health,
        now: @escaping @Sendable () -> Date, clocks: SteadyClock.Sources = .system
    ) throws(RelayError) {
        try configuration.validate()
        self.configuration = configuration
        self.logger = logger
        self.metrics = RelayMetrics(metrics)
        self.health = health
        self.now = now
        self.clocks = clocks
    }

    /// Opens the inbox and listens; ready when it returns.
    ///
    /// - Returns: the endpoint with the port the kernel picked.
    /// - Throws: ``RelayError/alreadyStarted``, a `StorageError` or a `TransportError`; nothing is left running.
    public func start() async throws -> Endpoint {
        try phase.withLock { phase throws(RelayError) in
            guard case .idle = phase else { throw .alreadyStarted }
            phase = .starting
        }
        var loops: [EventLoop] = []
        var store: SQLiteInbox?
        do {
            try AtomicFile.makeFolder(configuration.dataFolder)
            let lock = try FileLock(path: configuration.dataFolder + "/relay.lock")
            let receipts = Receipts()
            let inbox = try SQLiteInbox(
                path: "\(configuration.dataFolder)/\(Self.databaseName)", recentIDs: configuration.limits.recentIDs,
                commitDelay: configuration.limits.commitDelay, ackDelay: configuration.limits.ackDelay,
                clocks: clocks, metrics: metrics, logger: logger,
                didReport: { receipts.send() }, onDamage: { [logger, health] in health.report($0, logger) })
            store = inbox
            for index in 0..<configuration.threads { loops.append(try EventLoop(name: "relay-\(index)")) }
            let context = makeContext(store: inbox, receipts: receipts, loop: loops[0])
            let server = try await makeServer(context, loops: loops)
            phase.withLock {
                $0 = .running(Parts(lock: lock, loops: loops, store: inbox, context: context, server: server))
            }
            expireRegularly(context, on: loops[0])
            measureRegularly(context, on: loops[0])
            if let successions = context.successions {
                // Mail of agents that moved while the relay was away.
                for address in context.table.stranded(limit: configuration.limits.watchedAgents) {
                    successions.watch(address)
                }
            }
            health.becomeReady()
            logger.info("relay listening", ["endpoint": server.endpoint, "threads": loops.count])
            return server.endpoint
        } catch {
            for loop in loops { loop.shutdown() }
            store?.close()
            phase.withLock { $0 = .stopped }
            throw error
        }
    }

    /// Where it listens for TLS besides; nil where it does not, or does not run.
    public var secureEndpoint: Endpoint? {
        guard case .running(let parts) = phase.withLock({ $0 }) else { return nil }
        return parts.server?.secureEndpoint
    }

    /// Takes up another shared token for newcomers, and checks the certificate's files, which new connections take up
    /// anyway.
    ///
    /// - Throws: when the files cannot be used; those it had stay in use, and the token is taken up.
    public func reload(sharedToken: [UInt8]?) async throws {
        guard case .running(let parts) = phase.withLock({ $0 }) else { return }
        parts.context.admission.replace(sharedToken: sharedToken)
        try await parts.server?.checkCertificate()
    }

    /// Takes no more connections, finishes what was received, closes the others with 1012 (AgentMesh wire §5)
    /// and then the inbox. Does nothing unless running.
    public func stop() async {
        let running = phase.withLock { phase -> Parts? in
            guard case .running(let parts) = phase else { return nil }
            phase = .stopped
            return parts
        }
        guard let parts = running, let server = parts.server else { return }
        health.becomeUnready("draining")
        await server.stopAccepting()
        // Receipts of what was received so far go out before the close frames.
        await parts.store.flush()
        for connection in parts.context.table.connections { connection.close(.restarting) }
        await server.close()
        parts.store.close()
        for loop in parts.loops { loop.shutdown() }
        logger.info("relay stopped")
    }
}

extension RelayService {
    private func makeContext(store: SQLiteInbox, receipts: Receipts, loop: EventLoop) -> RelayContext {
        let limits = configuration.limits
        let registry = configuration.registry.map { url in
            RegistryClient(
                url: url,
                client: HTTPClient(
                    loop: loop, tls: configuration.registryTLS, timeout: limits.handshakeTimeout / 2,
                    maximumBodyBytes: 64 << 10))
        }
        let table = ConnectionTable(store: store, contents: store.contents, limits: limits, metrics: metrics)
        return RelayContext(
            limits: limits, table: table, store: store, receipts: receipts,
            admission: Admission(
                sharedToken: configuration.sharedToken,
                registrations: configuration.requireRegistration
                    ? registry.map { RegistrationCheck(registry: $0, limits: limits) } : nil,
                entra: configuration.entra.map { EntraCheck(verifier: $0.verifier(on: loop), logger: logger) }),
            memory: MemoryCeiling(limit: limits.memoryBytes ?? MemoryCeiling.defaultLimit),
            successions: registry.map {
                SuccessionWatch(registry: $0, table: table, loop: loop, limits: limits, logger: logger)
            },
            metrics: metrics, logger: logger, now: now)
    }

    private func makeServer(
        _ context: RelayContext, loops: [EventLoop]
    ) async throws(TransportError) -> Server {
        var limits = ServerLimits()
        limits.maximumBodyBytes = 4 << 10
        limits.maximumMessageBytes = configuration.limits.frameBytes
        limits.maximumConnections = configuration.limits.connections
        limits.handshakeTimeout = configuration.limits.handshakeTimeout
        limits.drainTimeout = configuration.limits.drainTimeout
        limits.closeTimeout = configuration.limits.drainTimeout
        // What a lagging client is sent stays far below; only one that provokes answers without reading
        // them gets there.
        limits.maximumQueuedBytes = 2 * (configuration.limits.lagBytes + configuration.limits.frameBytes)
        let answers = RelayHealth(
            health: health, metrics: metrics, verifiesApplications: configuration.entra != nil)
        return try await Server(
            loops: loops, endpoint: configuration.endpoint, tls: configuration.tls, secure: configuration.secure,
            limits: limits,
            admits: { address in
                if context.strangers.take(address) { return true }
                context.metrics.strangersCut.add()
                return false
            }
        ) { request in
            context.strangers.take(request.remoteAddress) ? answers.answer(request) : RelayHealth.tooMany
        } webSocket: { upgrade in
            upgrade.path == "/ws" || upgrade.path == "/" ? RelayConnection(context: context) : nil
        }
    }

    /// Deletes what expired; ends with its loop.
    private func expireRegularly(_ context: RelayContext, on loop: EventLoop) {
        context.table.expire(now: context.milliseconds)
        loop.schedule(after: Self.expiryInterval) { [weak self, weak loop] in
            guard let self, let loop else { return }
            expireRegularly(context, on: loop)
        }
    }

    /// Keeps an eye on the memory; ends with its loop.
    private func measureRegularly(_ context: RelayContext, on loop: EventLoop) {
        let wasExceeded = context.memory.isExceeded
        metrics.queuedBytes.set(context.store.queuedBytes)
        if let bytes = context.memory.update() { metrics.residentBytes.set(bytes) }
        let isExceeded = context.memory.isExceeded
        if isExceeded != wasExceeded {
            metrics.isShedding.set(isExceeded ? 1 : 0)
            logger.warn(
                isExceeded ? "shedding load: too much memory in use" : "memory is back below its ceiling",
                ["ceiling": context.memory.limit])
        }
        loop.schedule(after: Self.memoryInterval) { [weak self, weak loop] in
            guard let self, let loop else { return }
            measureRegularly(context, on: loop)
        }
    }
}
