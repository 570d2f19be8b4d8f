import FoundationEssentials
import MeshIdentity
import Observability
import Synchronization
import Transport

/// This peer on the mesh: end-to-end sessions with others over one relay.
///
/// Every step of a ratchet is on disk before its message leaves or is acknowledged, so a crash never uses a
/// message key twice. Steps are queued to the store inside the lock that makes them, which keeps frames in
/// the order of their numbers; the store commits many steps with one fsync.
public final class MeshClient: Sendable {
    struct State: Sendable {
        var sessions: [DID: PeerSession] = [:]
        var knocking: [DID: OutgoingKnock] = [:]
        var deciding: Set<DID> = []
        var buffer = FrameBuffer()
        var resynchronised: [DID: ContinuousClock.Instant] = [:]
        var prekeys: PrekeyStore
        var uses = 0
    }

    /// A KNOCK on its way, and those who wait for its answer.
    struct OutgoingKnock: Sendable {
        let id: String
        let peer: PeerIdentity
        var ratchet: RatchetSession
        var waiters: [CheckedContinuation<Void, any Error>] = []
    }

    static let prekeysName = "prekeys"

    public let identity: Identity
    let registry: RegistryClient
    let store: NodeStore
    let limits: MeshLimits
    let logger: Logger
    let policy: KnockPolicy
    let onMessage: @Sendable (PeerIdentity, [UInt8]) -> Void
    let state: Mutex<State>
    /// Made once in ``start()``, before any frame can arrive.
    private let link = Mutex<RelayLink?>(nil)
    private let onChange: @Sendable (Bool) -> Void

    /// - Parameters:
    ///   - policy: decides about KNOCKs of others.
    ///   - onMessage: receives every opened message in order; must not block.
    ///   - onChange: hears when the relay is reached or lost.
    public init(
        identity: Identity, registry: RegistryClient, store: NodeStore, limits: MeshLimits = .init(),
        logger: Logger, policy: @escaping KnockPolicy,
        onMessage: @escaping @Sendable (PeerIdentity, [UInt8]) -> Void,
        onChange: @escaping @Sendable (_ isConnected: Bool) -> Void
    ) async throws {
        self.identity = identity
        self.registry = registry
        self.store = store
        self.limits = limits
        self.logger = logger
        self.policy = policy
        self.onMessage = onMessage
        self.onChange = onChange
        var state = State(prekeys: try await Self.loadPrekeys(store, identity))
        for (name, bytes) in try await store.secrets(startingWith: "session:") {
            guard let session = PeerSession(serialized: bytes) else {
                logger.warn("a stored session is unreadable and was left out", ["session": name])
                continue
            }
            state.sessions[session.peer.did] = session
        }
        self.state = Mutex(state)
    }

    private static func loadPrekeys(_ store: NodeStore, _ identity: Identity) async throws -> PrekeyStore {
        if let bytes = try await store.secret(prekeysName) { return try PrekeyStore(serialized: bytes) }
        let prekeys = PrekeyStore.make(identity: identity, now: Date())
        try await store.putSecret(prekeys.serialized(), name: prekeysName)
        return prekeys
    }

    public var isConnected: Bool { link.withLock { $0?.isConnected ?? false } }

    /// Publishes the prekeys and connects to the relay; reconnects by itself from then on.
    public func start(relay: ServiceURL, tls: ClientTLS, loop: EventLoop, token: String?) async throws {
        try await publishPrekeys()
        let (frames, feed) = AsyncStream.makeStream(of: [UInt8].self)
        let link = RelayLink(
            url: relay, tls: tls, loop: loop, identity: identity, token: token,
            maximumMessageBytes: limits.maximumFrameBytes, logger: logger,
            onFrame: { feed.yield($0) }, onChange: onChange)
        self.link.withLock { $0 = link }
        Task { for await frame in frames { await receive(frame) } }
        link.start()
    }

    public func stop() {
        link.withLock { $0?.stop() }
        let waiting = state.withLock { state in
            defer { state.knocking = [:] }
            return state.knocking.values.flatMap(\.waiters)
        }
        for waiter in waiting {
            waiter.resume(throwing: OperationFailure(.unavailable, "this peer is stopping"))
        }
    }

    @discardableResult
    func transmit(_ frame: [UInt8]) -> Bool { link.withLock { $0 }?.send(frame) ?? false }

    /// Sends a message inside the session with the peer, which is made first when there is none.
    ///
    /// Returning says that the message left for the relay, not that the peer has it.
    public func send(_ plaintext: [UInt8], to peer: PeerIdentity) async throws {
        try await establishSession(with: peer)
        try await seal(plaintext, to: peer)
    }

    /// Whether a session is open in both directions.
    func hasSession(with did: DID) -> Bool {
        state.withLock { $0.sessions[did]?.ratchet.canSend ?? false }
    }

    /// One step of the sending chain: seal, store, then transmit.
    private func seal(_ plaintext: [UInt8], to peer: PeerIdentity) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            state.withLock { state in
                guard var session = state.sessions[peer.did] else {
                    return continuation.resume(
                        throwing: OperationFailure(.unavailable, "the session with \(peer.did) ended"))
                }
                do {
                    let message = try session.ratchet.encrypt(plaintext)
                    state.uses += 1
                    session.lastUse = state.uses
                    state.sessions[peer.did] = session
                    let frame = MessageFrame(
                        from: identity.did.text, to: peer.did.text, now: Date(), message: message
                    ).encode()
                    store.submitSecret(
                        session.serialized(), name: PeerSession.secretName(peer.did)
                    ) { [self] result in
                        switch result {
                        case .failure(let error): continuation.resume(throwing: error)
                        case .success where transmit(frame): continuation.resume()
                        case .success:
                            continuation.resume(
                                throwing: OperationFailure(.unavailable, "the relay is not connected"))
                        }
                    }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}
