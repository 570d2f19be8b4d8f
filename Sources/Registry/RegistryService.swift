import Dispatch
import EntraTokens
import FoundationEssentials
import MeshIdentity
import Observability
import Synchronization
import Transport

/// The AgentMesh registry: identities, prekeys, discovery, presence, reputation and home records over HTTP
/// (AgentMesh wire §7, design decisions 3 and 4).
public final class RegistryService: Sendable {
    /// The file in the data folder that holds all it knows, less the key of its log.
    public static let databaseName = "registry.db"

    private struct Running {
        let server: Server
        let loops: [EventLoop]
        let oauth: OAuthClients
        let upkeep: Task<Void, Never>
    }

    private enum State {
        case idle, starting, running(Running), stopped
    }

    private let configuration: RegistryConfiguration
    private let store: any RegistryStore
    private let signer: Identity
    private let metrics: Metrics
    /// How often idle agents are looked for, and how many go in one transaction.
    private static let sweepInterval: Duration = .seconds(600)
    private static let sweepSize = 500

    private let logger: Logger
    private let health: Health
    private let state = Mutex(State.idle)

    /// Opens the store, which blocks until it is checked and up to date.
    ///
    /// - Throws: ``RegistryError/plaintextBeyondLoopback(_:)``; a `StorageError`, also when another registry uses the
    ///   folder.
    public init(
        configuration: RegistryConfiguration, logger: Logger, metrics: Metrics, health: Health
    ) throws {
        try configuration.validate()
        self.configuration = configuration
        self.logger = logger
        self.metrics = metrics
        self.health = health
        store = try SQLiteRegistryStore(folder: configuration.dataFolder) { [logger, health] in
            health.report($0, logger)
        }
        let keyFolder = configuration.dataFolder + "/log-key"
        signer = try Keystore(folder: keyFolder, sealer: try KeySealers.machineKey(folder: keyFolder)).loadOrCreate()
    }

    /// Listens and returns where, with the port the kernel picked. A service starts once.
    public func start() async throws -> Endpoint {
        try state.withLock { state in
            guard case .idle = state else { throw RegistryError.cannotStart("it was started before") }
            state = .starting
        }
        var loops: [EventLoop] = []
        do {
            for number in 0..<max(1, configuration.threads) {
                loops.append(try EventLoop(name: "registry-\(number)"))
            }
            var limits = ServerLimits()
            // Twice the bound, so that a body a little too long gets an answer that says so in JSON.
            limits.maximumBodyBytes = 2 * configuration.limits.maximumBodyBytes
            let oauth = OAuthClients(Self.clients(configuration.oauth, on: loops[0]))
            let api = try RegistryAPI(
                store: store, limits: configuration.limits, policy: configuration.policy, signer: signer,
                verifier: configuration.entra?.verifier(on: loops[0]),
                oauth: oauth, logger: logger, metrics: metrics, health: health)
            let server = try await Server(
                loops: loops, endpoint: configuration.endpoint, tls: configuration.tls, secure: configuration.secure,
                limits: limits, http: { await api.handle($0) })
            let mayRun = state.withLock { state in
                guard case .starting = state else { return false }
                state = .running(Running(
                    server: server, loops: loops, oauth: oauth, upkeep: Task { await self.removeIdleAgents() }))
                return true
            }
            guard mayRun else {
                await server.close()
                throw RegistryError.cannotStart("it was stopped meanwhile")
            }
            health.becomeReady()
            logger.info("registry listens", ["endpoint": server.endpoint])
            return server.endpoint
        } catch {
            state.withLock { if case .starting = $0 { $0 = .idle } }
            await Self.offPool { [loops] in for loop in loops { loop.shutdown() } }
            throw error
        }
    }

    /// Where it listens for TLS besides; nil where it does not, or does not run.
    public var secureEndpoint: Endpoint? {
        guard case .running(let running) = state.withLock({ $0 }) else { return nil }
        return running.server.secureEndpoint
    }

    /// Takes up other providers or secrets, and checks the certificate's files, which new connections take up anyway.
    ///
    /// Sign-ins under way end at the provider they began at, with its new secret.
    ///
    /// - Throws: when the files cannot be used; those it had stay in use, and the rest is taken up.
    public func reload(oauth: OAuthSettings?) async throws {
        guard case .running(let running) = state.withLock({ $0 }) else { return }
        running.oauth.replace(by: Self.clients(oauth, on: running.loops[0]))
        try await running.server.checkCertificate()
    }

    private static func clients(_ settings: OAuthSettings?, on loop: EventLoop) -> [OAuthClient] {
        guard let settings else { return [] }
        return settings.providers.map { OAuthClient($0, publicURL: settings.publicURL, loop: loop) }
    }

    /// Finishes requests under way, closes all connections and the store. Idempotent; a stopped service stays so.
    public func stop() async {
        health.becomeUnready("stopping")
        let running: Running? = state.withLock { state in
            defer { state = .stopped }
            if case .running(let running) = state { return running }
            return nil
        }
        running?.upkeep.cancel()
        await running?.upkeep.value
        await running?.server.close()
        let store = self.store
        await Self.offPool {
            for loop in running?.loops ?? [] { loop.shutdown() }
            store.close()
        }
        if running != nil { logger.info("registry stopped") }
    }

    /// Until it is cancelled.
    private func removeIdleAgents() async {
        guard let lifetime = configuration.policy.anonymousLifetime else { return }
        while !Task.isCancelled {
            do {
                let before = Date().addingTimeInterval(-lifetime.inSeconds)
                var removed = 0, count = 0
                repeat {
                    count = try await store.removeIdle(before: before, limit: Self.sweepSize)
                    removed += count
                } while count == Self.sweepSize && !Task.isCancelled
                if removed > 0 { logger.info("idle agents removed", ["count": removed]) }
            } catch {
                logger.error("idle agents cannot be removed", ["reason": "\(error)"])
            }
            try? await Task.sleep(for: Self.sweepInterval)
        }
    }

    /// Runs what joins threads on a thread that may block.
    private static func offPool(_ work: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                work()
                continuation.resume()
            }
        }
    }
}
