import MeshIdentity
import MeshNode
import Observability
import Synchronization
import Transport

/// The open WebSockets of a gate: those of clients, and those that other peers' gates sent on.
final class GateStreams: Sendable {
    /// Streams of one agent, and of all.
    static let maximumPerAgent = 1_024
    static let maximumInAll = 8_192

    private struct Entry: Sendable {
        let agent: String
        let stream: GateStream
    }

    private struct Key: Hashable, Sendable {
        let peer: PeerIdentity
        let id: String
    }

    private struct State: Sendable {
        var streams: [String: Entry] = [:]
        /// Streams whose agent's end is at another peer, for what comes back on them.
        var outgoing: [Key: (stream: GateStream, generation: Int)] = [:]
        /// Streams whose client's end is at another peer.
        var incoming: [Key: GateStream] = [:]
    }

    private let state = Mutex(State())
    private let loop: EventLoop
    private let calls: MeshCalls
    private let logger: Logger
    /// Where an agent's requests go now; nil when there is no such agent.
    private let routeOf: @Sendable (String) -> AgentRoute?

    init(
        loop: EventLoop, calls: MeshCalls, logger: Logger, routeOf: @escaping @Sendable (String) -> AgentRoute?
    ) {
        self.loop = loop
        self.calls = calls
        self.logger = logger
        self.routeOf = routeOf
    }

    // MARK: Opening

    /// The delegate of a client's socket that passed the token check.
    func accept(_ agent: String, _ target: String) -> any WebSocketDelegate {
        ClientSocket { [self] client in await open(agent, target, client: client, hops: 0) { _ in } }
    }

    private func open(
        _ agent: String, _ target: String, client: any StreamEnd, hops: Int,
        forgetting: @escaping @Sendable (GateStreams) -> Void
    ) async -> GateStream? {
        let id = FrameID.make()
        let stream = GateStream(id: id, client: client) { [weak self] stream, generation in
            try await self?.connect(stream, generation, agent, target, hops: hops)
        } onEnd: { [weak self] in
            guard let self else { return }
            state.withLock { state in
                state.streams[id] = nil
                state.outgoing = state.outgoing.filter { $0.value.stream.id != id }
            }
            forgetting(self)
        }
        let isIn = state.withLock { state -> Bool in
            guard state.streams.count < Self.maximumInAll,
                state.streams.values.count(where: { $0.agent == agent }) < Self.maximumPerAgent
            else { return false }
            state.streams[id] = Entry(agent: agent, stream: stream)
            return true
        }
        guard isIn else { return nil }
        await stream.start(isHeld: routeOf(agent) == .held)
        return stream
    }

    /// - Returns: nil while the agent is frozen.
    private func connect(
        _ stream: GateStream, _ generation: Int, _ agent: String, _ target: String, hops: Int
    ) async throws -> (any StreamEnd)? {
        switch routeOf(agent) {
        case .local(let socket):
            return try await AgentSocket.connect(
                socket, target, stream: stream, generation: generation, loop: loop)
        case .forward(let peer):
            guard hops < GateLimits().maximumHops else {
                throw OperationFailure(.unavailable, "the stream passed too many gates")
            }
            let id = FrameID.make()
            let key = Key(peer: peer, id: id)
            state.withLock { $0.outgoing[key] = (stream, generation) }
            do {
                _ = try await calls.call(OpenStream(id: id, agent: agent, target: target, hops: hops + 1), of: peer)
            } catch {
                state.withLock { $0.outgoing[key] = nil }
                throw error
            }
            return MeshStreamEnd(id: id, peer: peer, isToAgent: true, calls: calls) {
                Task { await stream.agentClosed(generation, code: 1012, reason: "the agent's home is away") }
            }
        case .held: return nil
        case .stopped, nil: throw OperationFailure(.unavailable, "the agent is stopped")
        }
    }

    // MARK: Moves

    private func streams(of agent: String) -> [GateStream] {
        state.withLock { $0.streams.values.filter { $0.agent == agent }.map(\.stream) }
    }

    /// Keeps clients' messages back; returns when the agent has all it was given.
    func hold(_ agent: String) async {
        await each(agent) { await $0.hold() }
    }

    /// Returns when clients have all that a frozen agent said.
    func settle(_ agent: String) async {
        await each(agent) { await $0.settle() }
    }

    func release(_ agent: String, to route: AgentRoute) {
        var isSame = false
        if case .local = route { isSame = true }
        for stream in streams(of: agent) {
            Task { [isSame] in
                if route == .stopped {
                    await stream.stop(code: 1001, reason: "the agent is stopped")
                } else {
                    await stream.release(isSameAgent: isSame)
                }
            }
        }
    }

    func remove(_ agent: String) {
        for stream in streams(of: agent) { Task { await stream.stop(code: 1001, reason: "the agent is gone") } }
    }

    private func each(_ agent: String, _ body: @escaping @Sendable (GateStream) async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            for stream in streams(of: agent) { group.addTask { await body(stream) } }
        }
    }

    // MARK: Other peers' gates

    func take(_ request: OpenStream, from peer: PeerIdentity) async throws {
        let key = Key(peer: peer, id: request.id)
        guard request.id.utf8.count <= 64, state.withLock({ $0.incoming[key] == nil }) else {
            throw OperationFailure(.invalid, "the stream's id is not usable")
        }
        let client = MeshStreamEnd(id: request.id, peer: peer, isToAgent: false, calls: calls) { [weak self] in
            guard let stream = self?.state.withLock({ $0.incoming[key] }) else { return }
            Task { await stream.clientClosed(code: 1001, reason: "the client's gate is away") }
        }
        guard let stream = await open(
            request.agent, request.target, client: client, hops: max(1, request.hops),
            forgetting: { $0.state.withLock { $0.incoming[key] = nil } })
        else { throw OperationFailure(.unavailable, "too many streams are open") }
        state.withLock { $0.incoming[key] = stream }
        // It may have ended before it was known here.
        if await stream.hasEnded { state.withLock { $0.incoming[key] = nil } }
    }

    func take(_ request: SendOnStream, from peer: PeerIdentity) async throws {
        let key = Key(peer: peer, id: request.id)
        if request.isToAgent {
            guard let stream = state.withLock({ $0.incoming[key] }) else { throw Self.unknown }
            for message in request.messages { await stream.fromClient(message) }
            // The answer is what lets the other peer send more.
            while await stream.isFull { try await Task.sleep(for: .milliseconds(10)) }
        } else {
            guard let (stream, _) = state.withLock({ $0.outgoing[key] }) else { throw Self.unknown }
            for message in request.messages { stream.fromAgent(message) }
        }
    }

    func take(_ request: CloseStream, from peer: PeerIdentity) async {
        let key = Key(peer: peer, id: request.id)
        if request.isToAgent {
            let stream = state.withLock { $0.incoming.removeValue(forKey: key) }
            await stream?.clientClosed(code: request.code, reason: String(request.reason.prefix(120)))
        } else {
            let outgoing = state.withLock { $0.outgoing.removeValue(forKey: key) }
            await outgoing?.stream.agentClosed(
                outgoing?.generation ?? 0, code: request.code, reason: String(request.reason.prefix(120)))
        }
    }

    private static let unknown = OperationFailure(.notFound, "there is no such stream")
}
