import FoundationEssentials
import MeshIdentity
import Observability

/// Keeps a peer present: the registry hears that it is here, knows it again when it had forgotten it, and its prekeys stay
/// fresh (AgentMesh wire §7).
public struct MeshPresence: Sendable {
    /// How often the registry hears of the peer; it counts 90 s of silence as absence.
    private static let interval = Duration.seconds(30)
    /// Heartbeats between two looks at the prekeys: about an hour.
    static let beatsPerUpkeep = 120

    private let identity: Identity
    private let registry: RegistryClient
    private let client: MeshClient
    private let logger: Logger
    private let register: @Sendable () async throws -> Void

    /// - Parameter register: makes the peer known to the registry; for a peer that it knows it does nothing.
    public init(
        identity: Identity, registry: RegistryClient, client: MeshClient, logger: Logger,
        register: @escaping @Sendable () async throws -> Void
    ) {
        self.identity = identity
        self.registry = registry
        self.client = client
        self.logger = logger
        self.register = register
    }

    /// Goes on until the task is cancelled.
    public func stay() async {
        var beats = 0
        while !Task.isCancelled {
            beats += 1
            await beat(beats)
            // Not all peers that a restart brought back at the same moment.
            try? await Task.sleep(for: Self.interval * Double.random(in: 0.9...1.1))
        }
    }

    /// One heartbeat, and what it is time for.
    func beat(_ number: Int, now: Date = Date()) async {
        do {
            try await registry.heartbeat(identity)
        } catch let failure as OperationFailure where failure.code == .notFound {
            // Somebody withdrew it, or the registry came back from a copy of a time before.
            logger.warn("the registry had forgotten this peer")
            do { try await register() } catch {
                return logger.warn("the registry takes this peer no more", ["error": "\(error)"])
            }
            return await client.upkeep(now: now)
        } catch {
            logger.warn("the registry does not hear this peer", ["error": "\(error)"])
        }
        if number.isMultiple(of: Self.beatsPerUpkeep) { await client.upkeep(now: now) }
    }
}
