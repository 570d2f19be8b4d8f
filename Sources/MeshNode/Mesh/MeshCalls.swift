import FoundationEssentials
import MeshIdentity
import Observability
import Synchronization

/// Questions and answers between peers, inside mesh sessions.
///
/// A request is sent again until its answer comes or its time is up, with the same id; the peer that answers
/// remembers what it said, so a repeated request acts once (design decision 8). A repeat of a request that is
/// still worked on is answered by saying so, which tells a slow peer from one that lost the session.
public final class MeshCalls: Sendable {
    private struct Waiting: Sendable {
        let peer: PeerIdentity
        let continuation: CheckedContinuation<[UInt8], any Error>
        /// The peer said that it works on the request since it was last sent.
        var isServed = false
        /// Why it did not leave the last time.
        var lastError: (any Error)?
        /// What sends the request and what ends the wait.
        var tasks: [Task<Void, Never>] = []
    }

    private struct Key: Hashable, Sendable {
        let peer: PeerIdentity
        let id: String
    }

    private enum Served: Sendable {
        case running
        case answered([UInt8])
    }

    private struct State: Sendable {
        var waiting: [String: Waiting] = [:]
        var served: [Key: Served] = [:]
        /// Keys of the answers in `served`, in the order they were given; those before `forgotten` are gone.
        var answered: [Key] = []
        var forgotten = 0
        /// Bytes of the answers in `served`.
        var servedBytes = 0
        var running = 0
    }

    /// How the other types of message inside a session are handled, such as `pair_request`.
    public typealias OtherMessages = @Sendable (_ type: String, _ bytes: [UInt8], PeerIdentity) async -> Void

    private let state = Mutex(State())
    private let client: ClientPlace
    private let table: OperationTable
    private let pairingOf: @Sendable (PeerIdentity) async -> Pairing?
    private let others: OtherMessages
    private let controller: PublicKey?
    private let logger: Logger
    private let limits: CallLimits
    let streams: MeshStreams

    /// Where the client is found once there is one; streams look there too.
    private final class ClientPlace: Sendable {
        let client = Mutex<MeshClient?>(nil)
    }

    /// - Parameter controller: the key of the peer that may do what the operator may.
    public convenience init(
        table: OperationTable, controller: PublicKey? = nil, logger: Logger,
        pairingOf: @escaping @Sendable (PeerIdentity) async -> Pairing?,
        others: @escaping OtherMessages
    ) {
        self.init(
            table: table, limits: CallLimits(), controller: controller, logger: logger, pairingOf: pairingOf, others: others)
    }

    init(
        table: OperationTable, limits: CallLimits, streams: StreamLimits = StreamLimits(), controller: PublicKey? = nil,
        logger: Logger,
        pairingOf: @escaping @Sendable (PeerIdentity) async -> Pairing?,
        others: @escaping OtherMessages
    ) {
        self.table = table
        self.limits = limits
        self.controller = controller
        self.logger = logger
        self.pairingOf = pairingOf
        self.others = others
        let place = ClientPlace()
        client = place
        self.streams = MeshStreams(limits: streams, logger: logger, pairingOf: pairingOf) { place.client.withLock { $0 } }
    }

    /// Names the client to speak through; once, before the first call.
    public func attach(_ client: MeshClient) { self.client.client.withLock { $0 = client } }

    private func mesh() throws -> MeshClient {
        guard let client = client.client.withLock({ $0 }) else {
            throw OperationFailure(.unavailable, "this peer is not on the mesh yet")
        }
        return client
    }

    /// Asks a peer and returns its answer.
    ///
    /// - Throws: the peer's own failure, or `timed_out` when no answer came within the operation's patience.
    public func call<Operation: PeerOperation>(
        _ operation: Operation, of peer: PeerIdentity
    ) async throws -> Operation.Answer {
        try await call(operation, of: peer, offering: nil)
    }

    /// Opens a stream at a peer and returns this end of it.
    ///
    /// - Throws: the peer's own failure, such as a refusal.
    public func open(_ operation: some StreamOperation, at peer: PeerIdentity) async throws -> any PeerStream {
        let (offer, stream) = try streams.offer(to: peer)
        do {
            try streams.offered(stream, try await call(operation, of: peer, offering: offer))
        } catch {
            let failure = OperationFailure(wrapping: error, doing: "opening a stream")
            // A request that was not answered may have been heard.
            stream.end(failure, tells: failure.code == .timedOut || error is CancellationError)
            throw error
        }
        return stream
    }

    /// Ends the streams that pairings do not allow any more; call it when one ended.
    public func reconsiderStreams() async { await streams.reconsider() }

    /// Ends all streams.
    public func stopStreams() { streams.stop() }

    private func call<Operation: PeerOperation>(
        _ operation: Operation, of peer: PeerIdentity, offering offer: StreamOffer?
    ) async throws -> Operation.Answer {
        let id = FrameID.make()
        let request = PeerJSON.encode(MeshRequest(id: id, op: Operation.name, body: operation, stream: offer))
        let bytes = try await exchange(request, id: id, with: peer, patience: Operation.patience)
        guard let response = PeerJSON.decode(OperationResponse<Operation.Answer>.self, from: bytes) else {
            throw OperationFailure(.failed, "\(peer.did) sent an answer to \(Operation.name) that makes no sense")
        }
        return try response.get()
    }

    /// Sends a message that expects no answer.
    public func post(_ message: some Encodable & Sendable, to peer: PeerIdentity) async throws {
        try await mesh().send(PeerJSON.encode(message), to: peer)
    }

    private func exchange(
        _ request: [UInt8], id: String, with peer: PeerIdentity, patience: Int
    ) async throws -> [UInt8] {
        let mesh = try mesh()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLock { state in
                    // Made inside the lock, so that neither an answer nor a refusal comes before its waiter.
                    state.waiting[id] = Waiting(
                        peer: peer, continuation: continuation,
                        tasks: [
                            Task { await self.deliver(request, id: id, through: mesh, to: peer) },
                            Task { await self.endWait(for: id, of: peer, after: patience) },
                        ])
                }
                if Task.isCancelled { finish(id, .failure(CancellationError())) }
            }
        } onCancel: {
            finish(id, .failure(CancellationError()))
        }
    }

    private func endWait(for id: String, of peer: PeerIdentity, after patience: Int) async {
        guard (try? await Task.sleep(for: .seconds(patience))) != nil else { return }
        let reason = state.withLock { $0.waiting[id]?.lastError }
        let silence = OperationFailure(.timedOut, "\(peer.did) did not answer in \(patience) s")
        finish(id, .failure(reason ?? silence))
    }

    /// Sends a request until it is cancelled, because its answer came or its time is up.
    private func deliver(
        _ request: [UInt8], id: String, through mesh: MeshClient, to peer: PeerIdentity
    ) async {
        /// Times it was sent in a row without any sign of the peer.
        var unheard = 0
        while !Task.isCancelled {
            // Twice unheard: the peer may have lost the session.
            if unheard >= 2 { mesh.resynchronise(with: peer.did) }
            var pause = limits.retryAfter
            do {
                try await mesh.send(request, to: peer)
                state.withLock { $0.waiting[id]?.lastError = nil }
                unheard += 1
                pause = limits.resendAfter
            } catch let error as OperationFailure where error.code == .refused || error.code == .invalid {
                return finish(id, .failure(error))
            } catch {
                state.withLock { $0.waiting[id]?.lastError = error }
            }
            try? await Task.sleep(for: pause)
            let isServed = state.withLock { state in
                defer { state.waiting[id]?.isServed = false }
                return state.waiting[id]?.isServed ?? false
            }
            if isServed { unheard = 0 }
        }
    }

    private func finish(_ id: String, _ result: Result<[UInt8], any Error>) {
        guard let ended = state.withLock({ $0.waiting.removeValue(forKey: id) }) else { return }
        for task in ended.tasks { task.cancel() }
        ended.continuation.resume(with: result)
    }

    /// Takes one opened message of a session; returns at once.
    public func handle(_ bytes: [UInt8], from peer: PeerIdentity) {
        if StreamFrame.begins(bytes) { return streams.handle(bytes, from: peer) }
        guard let header = PeerJSON.decode(MessageHeader.self, from: bytes) else {
            return logger.warn("an unreadable message was dropped", ["peer": peer.did])
        }
        switch header.type {
        case MeshRequest<Done>.type:
            // Without an id there is nothing an answer could name.
            guard let id = header.id, (1...OperationHeader.maximumIDBytes).contains(id.utf8.count) else { return }
            serve(bytes, id: id, for: peer)
        case MeshResponse.type:
            if isAwaited(header.id, from: peer) { finish(header.id!, .success(bytes)) }
        case MeshWorking.type:
            guard isAwaited(header.id, from: peer) else { return }
            state.withLock { $0.waiting[header.id!]?.isServed = true }
        default: Task { await others(header.type, bytes, peer) }
        }
    }

    private func isAwaited(_ id: String?, from peer: PeerIdentity) -> Bool {
        state.withLock { state in id.map { state.waiting[$0]?.peer == peer } ?? false }
    }

    private func serve(_ bytes: [UInt8], id: String, for peer: PeerIdentity) {
        let key = Key(peer: peer, id: id)
        enum Step { case run, reply([UInt8]), ignore }
        let step = state.withLock { state -> Step in
            switch state.served[key] {
            case .running: return .reply(PeerJSON.encode(MeshWorking(id: id)))
            case .answered(let answer): return .reply(answer)
            case nil:
                guard state.running < limits.maximumRunning else { return .ignore }
                state.running += 1
                state.served[key] = .running
                return .run
            }
        }
        switch step {
        case .ignore: return
        case .reply(let answer): Task { await self.reply(answer, to: peer) }
        case .run:
            Task {
                let pairing = await pairingOf(peer)
                // Only with a pairing that stands: the controller can be revoked like others.
                let isController = peer.key == controller && pairing != nil
                let caller = isController ? OperationCaller.controller(peer) : .peer(peer, pairing)
                let answer = MeshResponse.tagging(
                    await table.answer(
                        bytes, from: caller,
                        opener: { [streams] offer, access in
                            let stream = try streams.accept(offer, from: peer, access: access)
                            return (stream, StreamOpened(window: streams.window))
                        }))
                remember(answer, key)
                await reply(answer, to: peer)
            }
        }
    }

    private func remember(_ answer: [UInt8], _ key: Key) {
        state.withLock { state in
            state.running -= 1
            state.served[key] = .answered(answer)
            state.answered.append(key)
            state.servedBytes += answer.count
            while state.servedBytes > limits.maximumServedBytes
                || state.answered.count - state.forgotten > limits.maximumServed
            {
                if case .answered(let old) = state.served.removeValue(forKey: state.answered[state.forgotten]) {
                    state.servedBytes -= old.count
                }
                state.forgotten += 1
            }
            // Moved together now and then: removing each first element would move all others.
            if state.forgotten > 1_000, state.forgotten * 2 > state.answered.count {
                state.answered.removeFirst(state.forgotten)
                state.forgotten = 0
            }
        }
    }

    private func reply(_ answer: [UInt8], to peer: PeerIdentity) async {
        do {
            try await mesh().send(answer, to: peer)
        } catch let error as OperationFailure where error.code == .invalid {
            // No frame carries it, so asking again would help nobody.
            logger.warn("an answer is too large", ["peer": peer.did, "bytes": answer.count])
            guard let id = PeerJSON.decode(MessageHeader.self, from: answer)?.id else { return }
            let failure = OperationFailure(.failed, "the answer is more than the mesh carries")
            try? await mesh().send(
                MeshResponse.tagging(PeerJSON.encode(OperationResponse<Done>(id: id, error: failure))), to: peer)
        } catch {
            // The peer asks again, and gets the remembered answer then.
            logger.warn("an answer did not leave", ["peer": peer.did, "error": "\(error)"])
        }
    }
}
