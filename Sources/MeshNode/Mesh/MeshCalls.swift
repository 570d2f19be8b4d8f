import FoundationEssentials
import MeshIdentity
import Observability
import Synchronization

/// Questions and answers between peers, inside mesh sessions.
///
/// A request is sent again until its answer comes or its time is up, with the same id; the peer that answers
/// remembers what it said, so a repeated request acts once (design decision 8).
public final class MeshCalls: Sendable {
    private struct Waiting: Sendable {
        let peer: PeerIdentity
        let continuation: CheckedContinuation<[UInt8], any Error>
    }

    private struct Key: Hashable, Sendable {
        let peer: PeerIdentity
        let id: String
    }

    private enum Served: Sendable {
        case running
        case answered([UInt8], at: ContinuousClock.Instant)
    }

    private struct State: Sendable {
        var waiting: [String: Waiting] = [:]
        var served: [Key: Served] = [:]
        /// Keys of `served` in the order they came, with the bytes their answers hold.
        var order: [Key] = []
        var servedBytes = 0
        var running = 0
    }

    /// How the other types of message inside a session are handled, such as `pair_request`.
    public typealias OtherMessages = @Sendable (_ type: String, _ bytes: [UInt8], PeerIdentity) async -> Void

    /// The pause before a request is sent again.
    private static let resendAfter = Duration.seconds(5)
    /// Answers remembered, by count and by bytes; and requests run at one time.
    private static let maximumServed = 20_000
    private static let maximumServedBytes = 64 << 20
    private static let maximumRunning = 1_024

    private let state = Mutex(State())
    private let client = Mutex<MeshClient?>(nil)
    private let table: OperationTable
    private let pairingOf: @Sendable (PeerIdentity) async -> Pairing?
    private let others: OtherMessages
    private let logger: Logger

    public init(
        table: OperationTable, logger: Logger,
        pairingOf: @escaping @Sendable (PeerIdentity) async -> Pairing?,
        others: @escaping OtherMessages
    ) {
        self.table = table
        self.logger = logger
        self.pairingOf = pairingOf
        self.others = others
    }

    /// Names the client to speak through; once, before the first call.
    public func attach(_ client: MeshClient) { self.client.withLock { $0 = client } }

    private func mesh() throws -> MeshClient {
        guard let client = client.withLock({ $0 }) else {
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
        let id = FrameID.make()
        let request = PeerJSON.encode(MeshRequest(id: id, op: Operation.name, body: operation))
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
        let sender = Task {
            let deadline = ContinuousClock.now + .seconds(patience)
            var attempt = 0
            var lastError: (any Error)?
            while ContinuousClock.now < deadline, !Task.isCancelled {
                do {
                    if attempt > 1 { await mesh.resynchronise(with: peer.did) }
                    try await mesh.send(request, to: peer)
                    lastError = nil
                } catch let error as OperationFailure where error.code == .refused || error.code == .invalid {
                    return self.finish(id, .failure(error))
                } catch {
                    lastError = error
                }
                attempt += 1
                let pause: Duration = lastError == nil ? Self.resendAfter : .milliseconds(500)
                try? await Task.sleep(for: min(pause, deadline - ContinuousClock.now))
            }
            self.finish(
                id, .failure(lastError ?? OperationFailure(.timedOut, "\(peer.did) did not answer in \(patience) s")))
        }
        defer { sender.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLock { $0.waiting[id] = Waiting(peer: peer, continuation: continuation) }
                if Task.isCancelled { finish(id, .failure(CancellationError())) }
            }
        } onCancel: {
            finish(id, .failure(CancellationError()))
        }
    }

    private func finish(_ id: String, _ result: Result<[UInt8], any Error>) {
        state.withLock { $0.waiting.removeValue(forKey: id) }?.continuation.resume(with: result)
    }

    /// Takes one opened message of a session; returns at once.
    public func handle(_ bytes: [UInt8], from peer: PeerIdentity) {
        guard let header = PeerJSON.decode(MessageHeader.self, from: bytes) else {
            return logger.warn("an unreadable message was dropped", ["peer": peer.did])
        }
        switch header.type {
        case MeshRequest<Done>.type: serve(bytes, id: header.id ?? "", for: peer)
        case MeshResponse.type:
            let isExpected = state.withLock { state in
                header.id.map { state.waiting[$0]?.peer == peer } ?? false
            }
            if isExpected { finish(header.id!, .success(bytes)) }
        default: Task { await others(header.type, bytes, peer) }
        }
    }

    private func serve(_ bytes: [UInt8], id: String, for peer: PeerIdentity) {
        let key = Key(peer: peer, id: id)
        enum Step { case run, resend([UInt8]), ignore }
        let step = state.withLock { state -> Step in
            switch state.served[key] {
            case .running: return .ignore
            case .answered(let answer, _): return .resend(answer)
            case nil:
                guard state.running < Self.maximumRunning else { return .ignore }
                state.running += 1
                state.served[key] = .running
                state.order.append(key)
                return .run
            }
        }
        switch step {
        case .ignore: return
        case .resend(let answer): Task { await self.reply(answer, to: peer) }
        case .run:
            Task {
                let pairing = await pairingOf(peer)
                let answer = await table.answer(bytes, from: .peer(peer, pairing))
                let tagged = MeshResponse.tagging(answer)
                remember(tagged, key)
                await reply(tagged, to: peer)
            }
        }
    }

    private func remember(_ answer: [UInt8], _ key: Key) {
        state.withLock { state in
            state.running -= 1
            state.served[key] = .answered(answer, at: .now)
            state.servedBytes += answer.count
            var index = 0
            while state.servedBytes > Self.maximumServedBytes || state.served.count > Self.maximumServed,
                index < state.order.count
            {
                guard case .answered(let old, _) = state.served[state.order[index]] else {
                    index += 1
                    continue
                }
                state.servedBytes -= old.count
                state.served[state.order.remove(at: index)] = nil
            }
        }
    }

    private func reply(_ answer: [UInt8], to peer: PeerIdentity) async {
        do {
            try await mesh().send(answer, to: peer)
        } catch {
            // The peer asks again, and gets the remembered answer then.
            logger.warn("an answer did not leave", ["peer": peer.did, "error": "\(error)"])
        }
    }
}
