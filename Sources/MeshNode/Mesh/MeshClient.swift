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
        /// Peers whose KNOCK is being decided.
        var deciding: [DID: Decision] = [:]
        /// Accepted KNOCKs whose first message brings the key agreement.
        var awaitedStarts: [DID: AwaitedStart] = [:]
        /// Key agreements that first messages brought, the latest ones: those being stored are among them.
        var recentStarts: [String] = []
        var buffer = FrameBuffer()
        var pace = ResynchronisationPace()
        /// Strangers whose key is being looked up because they sent a message in a session we do not have.
        var introductions = 0
        /// Messages that were opened and could not be stored yet; they are not acknowledged.
        var unstored: Set<String> = []
        var prekeys: PrekeyStore
        /// Counts uses of sessions and KNOCKs.
        var uses = 0
        var isStopped = false
    }

    /// A KNOCK on its way, and those who wait for its answer.
    struct OutgoingKnock: Sendable {
        let number: Int
        let peer: PeerIdentity
        /// Set once the frame is made.
        var sent: (id: String, ratchet: RatchetSession)?
        var deadline: Task<Void, Never>?
        var waiters: [CheckedContinuation<Void, any Error>] = []
    }

    /// A KNOCK that is being decided.
    struct Decision: Sendable {
        /// A newer one of the same peer, which is decided next.
        var next: KnockFrame?
    }

    /// An accepted KNOCK without a key agreement.
    struct AwaitedStart: Sendable {
        let number: Int
        let peer: PeerIdentity
        /// Names as they stand in the KNOCK.
        let from: String
        let to: String
        let terms: SessionTerms?
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
    private let intake = Mutex<FrameIntake?>(nil)
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
            guard let session = bytes?.withUnsafeBytes({ PeerSession(serialized: $0) }),
                PeerSession.secretName(session.peer.did) == name
            else {
                logger.warn("a stored session is unreadable and was left out", ["session": name])
                continue
            }
            state.sessions[session.peer.did] = session
        }
        self.state = Mutex(state)
    }

    private static func loadPrekeys(_ store: NodeStore, _ identity: Identity) async throws -> PrekeyStore {
        if let bytes = try await store.secret(prekeysName) { 
            return try bytes.withUnsafeBytes { (stored) throws(SessionError) in try PrekeyStore(serialized: stored) }
        }
        let prekeys = PrekeyStore.make(identity: identity, now: Date())
        try await store.putSecret(prekeys.serialized(), name: prekeysName)
        return prekeys
    }

    public var isConnected: Bool { link.withLock { $0?.isConnected ?? false } }

    /// Publishes the prekeys and connects to the relay; reconnects by itself from then on.
    public func start(relay: ServiceURL, tls: ClientTLS, loop: EventLoop, token: String?) async throws {
        try await publishPrekeys()
        let intake = FrameIntake(maximumBytes: limits.maximumQueuedBytes) { [weak self] isReading in
            self?.link.withLock { $0 }?.setReading(isReading)
        }
        let link = RelayLink(
            url: relay, tls: tls, loop: loop, identity: identity, token: token,
            maximumMessageBytes: limits.maximumFrameBytes, logger: logger,
            onFrame: { intake.append($0) }, onChange: onChange)
        let mayStart = state.withLock { state in
            guard !state.isStopped else { return false }
            self.link.withLock { $0 = link }
            self.intake.withLock { $0 = intake }
            return true
        }
        guard mayStart else { throw OperationFailure(.unavailable, "this peer is stopping") }
        Task {
            for await frame in intake.frames {
                await receive(frame)
                intake.didHandle(frame)
            }
        }
        link.start()
    }

    public func stop() {
        let knocks = state.withLock { state in
            state.isStopped = true
            defer { state.knocking = [:] }
            return state.knocking.values.map { $0 }
        }
        link.withLock { $0 }?.stop()
        intake.withLock { $0 }?.finish()
        for knock in knocks {
            knock.deadline?.cancel()
            for waiter in knock.waiters { waiter.resume(throwing: Self.stopping) }
        }
    }

    static let stopping = OperationFailure(.unavailable, "this peer is stopping")
    static let disconnected = OperationFailure(.unavailable, "the relay is not connected")

    @discardableResult
    func transmit(_ frame: [UInt8]) -> Bool { link.withLock { $0 }?.send(frame) ?? false }

    func acknowledge(_ ids: [String]) {
        for id in ids { transmit(AckFrame(id: id).encode()) }
    }

    /// Sends a message inside the session with the peer, which is made first when there is none.
    ///
    /// Returning says that the message left for the relay, not that the peer has it.
    ///
    /// - Throws: `invalid` for a message that no frame can carry.
    public func send(_ plaintext: [UInt8], to peer: PeerIdentity) async throws {
        // Base64 of the box and the frame around it; the relay would end the connection over a longer one.
        guard plaintext.count <= (limits.maximumFrameBytes - Self.frameOverhead) / 4 * 3 else {
            throw OperationFailure(.invalid, "a message of \(plaintext.count) bytes is more than the mesh carries")
        }
        try await establishSession(with: peer)
        try await seal(plaintext, to: peer)
    }

    /// What a frame holds besides its sealed plaintext: names, header, nonce and tag.
    private static let frameOverhead = 1_024

    /// Whether a session is open in both directions.
    func hasSession(with did: DID) -> Bool {
        state.withLock { $0.sessions[did]?.canSend() ?? false }
    }

    /// One step of the sending chain: seal, store, then transmit.
    private func seal(_ plaintext: [UInt8], to peer: PeerIdentity) async throws {
        try await withCheckedThrowingContinuation { continuation in
            submit(plaintext, to: peer) { continuation.resume(with: $0) }
        }
    }

    /// Seals a message in the session there is and lets it leave once the step is on disk. Messages leave in the order
    /// in which they are submitted, and many may be on their way to the disk.
    ///
    /// - Parameter completion: hears that the message left for the relay, or why not; it must not block, and may be
    ///   called before this returns.
    func submit(
        _ plaintext: [UInt8], to peer: PeerIdentity, completion: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        // A message that does not leave is a hole for the other side, which bears only so many.
        guard isConnected else { return completion(.failure(Self.disconnected)) }
        let obstacle = state.withLock { state -> (any Error)? in
            guard var session = state.sessions[peer.did] else {
                return OperationFailure(.unavailable, "the session with \(peer.did) ended")
            }
            do {
                let message = try session.encrypt(plaintext)
                state.uses += 1
                session.lastUse = state.uses
                state.sessions[peer.did] = session
                let frame = MessageFrame(
                    from: identity.did.text, to: peer.did.text, now: Date(), message: message
                ).encode()
                store.submitSecrets([(PeerSession.secretName(peer.did), session.serialized())]) { [self] result in
                    switch result {
                    case .failure(let error): completion(.failure(error))
                    case .success where transmit(frame): completion(.success(()))
                    case .success: completion(.failure(Self.disconnected))
                    }
                }
                return nil
            } catch {
                return error
            }
        }
        if let obstacle { completion(.failure(obstacle)) }
    }
}
