import MeshIdentity
import Observability
import Synchronization

/// The streams of this peer inside its mesh sessions: finds the one that a frame is for, bounds how many there are, and
/// ends those that are no longer allowed.
final class MeshStreams: MeshStream.Way {
    private struct Key: Hashable, Sendable {
        let peer: PeerIdentity
        let id: StreamID
    }

    private struct State: Sendable {
        var streams: [Key: MeshStream] = [:]
        var resets = 0
        var isTicking = false
        var isStopped = false
    }

    private let state = Mutex(State())
    private let client: @Sendable () -> MeshClient?
    private let pairingOf: @Sendable (PeerIdentity) async -> Pairing?
    private let limits: StreamLimits
    private let logger: Logger

    init(
        limits: StreamLimits, logger: Logger, pairingOf: @escaping @Sendable (PeerIdentity) async -> Pairing?,
        client: @escaping @Sendable () -> MeshClient?
    ) {
        self.limits = limits
        self.logger = logger
        self.pairingOf = pairingOf
        self.client = client
    }

    /// What this peer holds for each of them.
    var window: Int { limits.window }
    /// How many are open.
    var count: Int { state.withLock { $0.streams.count } }
    /// Weight of what came on all of them and was not taken.
    var held: Int { state.withLock { Array($0.streams.values) }.reduce(0) { $0 + $1.held } }

    // MARK: Opening

    /// This side's end of a stream that a peer asked for.
    func accept(_ offer: StreamOffer?, from peer: PeerIdentity, access: OperationAccess) throws -> MeshStream {
        guard let offer else { throw OperationFailure(.invalid, "the operation needs a stream, and none was offered") }
        guard offer.v == StreamOffer.version else {
            throw OperationFailure(.invalid, "this peer knows streams of version \(StreamOffer.version), not of \(offer.v)")
        }
        guard (limits.minimumWindow...(1 << 30)).contains(offer.window) else {
            throw OperationFailure(.invalid, "a window of \(offer.window) bytes is not one of a stream")
        }
        return try add(offer.id, peer, access: access, window: offer.window) { streams in
            let incoming = streams.filter { $0.value.access != nil }
            guard incoming.count < self.limits.incoming,
                incoming.count(where: { $0.key.peer == peer }) < self.limits.incomingPerPeer
            else { throw OperationFailure(.unavailable, "too many streams are open at this peer") }
        }
    }

    /// This side's end of a stream that it will ask a peer for; nothing can be sent before ``offered(_:_:)``.
    func offer(to peer: PeerIdentity) throws -> (offer: StreamOffer, stream: MeshStream) {
        let id = StreamID.make()
        let stream = try add(id, peer, access: nil, window: 0) { streams in
            guard streams.count(where: { $0.value.access == nil }) < self.limits.outgoing else {
                throw OperationFailure(.unavailable, "too many streams of this peer are open")
            }
        }
        return (StreamOffer(id: id, window: limits.window), stream)
    }

    /// The peer took the offer, and holds that much.
    func offered(_ stream: MeshStream, _ answer: StreamOpened) throws {
        guard answer.v == StreamOffer.version, (limits.minimumWindow...(1 << 30)).contains(answer.window) else {
            throw OperationFailure(.failed, "\(stream.peer.did) opened a stream of a kind this peer does not know")
        }
        stream.take(.window(received: 0, limit: UInt64(answer.window), misses: false))
    }

    private func add(
        _ id: StreamID, _ peer: PeerIdentity, access: OperationAccess?, window: Int,
        _ check: ([Key: MeshStream]) throws -> Void
    ) throws -> MeshStream {
        let stream = MeshStream(id: id, peer: peer, access: access, window: window, limits: limits, way: self)
        let startsTicking = try state.withLock { state in
            guard !state.isStopped else { throw MeshClient.stopping }
            guard state.streams[Key(peer: peer, id: id)] == nil else {
                throw OperationFailure(.conflict, "a stream of that name is open")
            }
            try check(state.streams)
            state.streams[Key(peer: peer, id: id)] = stream
            defer { state.isTicking = true }
            return !state.isTicking
        }
        if startsTicking { Task { await tick() } }
        return stream
    }

    // MARK: Frames

    /// Takes a message that ``StreamFrame/begins(_:)``; returns at once.
    func handle(_ bytes: [UInt8], from peer: PeerIdentity) {
        guard let frame = StreamFrame(bytes) else {
            return logger.warn("an unreadable part of a stream was dropped", ["peer": peer.did])
        }
        if let stream = state.withLock({ $0.streams[Key(peer: peer, id: frame.stream)] }) { return stream.take(frame.body) }
        // The other end must not wait for what nobody will say; a reset is never answered.
        if case .reset = frame.body { return }
        let answers = state.withLock { state -> Bool in
            guard state.resets < limits.resetsUnderWay else { return false }
            state.resets += 1
            return true
        }
        guard answers else { return }
        // Not here: this may be the thread of the store, which the answer waits for.
        Task {
            let unknown = OperationFailure(.unavailable, "the other peer knows nothing of the stream any more")
            submit(StreamFrame(stream: frame.stream, .reset(unknown)), to: peer) { [weak self] _ in
                self?.state.withLock { $0.resets -= 1 }
            }
        }
    }

    // MARK: The end

    /// Looks after the streams while there are any.
    private func tick() async {
        while true {
            try? await Task.sleep(for: limits.tick)
            let streams = state.withLock { state in
                state.isTicking = !state.streams.isEmpty
                return Array(state.streams.values)
            }
            guard !streams.isEmpty else { return }
            for stream in streams { stream.tick() }
            await reconsider()
        }
    }

    /// Ends the streams that the pairings of the moment do not allow.
    func reconsider() async {
        let streams = state.withLock { Dictionary(grouping: $0.streams.values) { $0.peer } }
        for (peer, streams) in streams {
            let pairing = await pairingOf(peer)
            for stream in streams where !Self.isAllowed(stream.access, pairing) {
                stream.end(
                    OperationFailure(.refused, "the pairing that the stream needs has ended"), tells: true)
            }
        }
    }

    private static func isAllowed(_ access: OperationAccess?, _ pairing: Pairing?) -> Bool {
        guard let pairing, pairing.phase == .active else { return false }
        if case .capability(let needed) = access { return pairing.capabilities.contains(needed) }
        return true
    }

    /// Ends all of them; none is opened afterwards.
    func stop() {
        let streams = state.withLock { state in
            state.isStopped = true
            return Array(state.streams.values)
        }
        for stream in streams { stream.cancel(MeshClient.stopping) }
    }

    // MARK: MeshStream.Way

    func submit(
        _ frame: StreamFrame, to peer: PeerIdentity, completion: @escaping @Sendable (Result<Void, any Error>) -> Void
    ) {
        guard let client = client() else { return completion(.failure(MeshClient.disconnected)) }
        client.submit(frame.encode(), to: peer, completion: completion)
    }

    func reach(_ peer: PeerIdentity) async throws { try await client()?.establishSession(with: peer) }

    func refresh(_ peer: PeerIdentity) { client()?.resynchronise(with: peer.did) }

    func ended(_ stream: MeshStream) {
        state.withLock { state in
            let key = Key(peer: stream.peer, id: stream.id)
            if state.streams[key] === stream { state.streams[key] = nil }
        }
    }
}
