import MeshNode
import Transport

/// One client's WebSocket on its way through a gate.
///
/// The client's socket outlives moves of its agent: while the agent is frozen the client's messages wait here,
/// and after a move they go to the agent's new home over a new connection. A message is given to the agent
/// once, whole, and in order.
actor GateStream {
    /// Bytes of a client's messages kept before it is held back.
    private static let highWater = 256 << 10
    /// How long an agent may take to show that it has what it was sent.
    private static let settleTime = Duration.seconds(5)

    /// The pause before a stream that found its agent frozen asks again.
    private static let pauseWhileFrozen = Duration.milliseconds(50)

    /// Makes the connection behind the gate, for the route of the moment.
    typealias Connector = @Sendable (GateStream, Int) async throws -> (any StreamEnd)?

    nonisolated let id: String
    private let client: any StreamEnd
    private let connector: Connector
    private let onEnd: @Sendable () -> Void
    private var agent: (any StreamEnd)?
    /// Whether the agent's end is on this peer, and thus ends with a move.
    private var isLocal = false
    /// Counts the agent's ends, so that what an old one says late is not taken for the new one's word.
    private var generation = 0
    private var isHeld = false
    private var isConnecting = false
    private var isOver = false
    private var waiting: [StreamMessage] = []
    private var waitingBytes = 0

    init(id: String, client: any StreamEnd, connector: @escaping Connector, onEnd: @escaping @Sendable () -> Void) {
        self.id = id
        self.client = client
        self.connector = connector
        self.onEnd = onEnd
    }

    /// Connects to the agent, or waits for it when it is frozen.
    func start(isHeld: Bool) async {
        self.isHeld = isHeld
        if !isHeld { await connect() }
    }

    // MARK: The client's side

    /// The client said something; it is held back while too much waits.
    func fromClient(_ message: StreamMessage) {
        guard !isOver else { return }
        waiting.append(message)
        waitingBytes += message.data.bytes.count
        if waitingBytes > Self.highWater { client.setReading(false) }
        pump()
    }

    var hasEnded: Bool { isOver }

    /// Whether the client's end should send no more for now.
    var isFull: Bool { waitingBytes > Self.highWater }

    func clientClosed(code: Int, reason: String) {
        guard !isOver else { return }
        pump()
        finish()
        agent?.close(code: code, reason: reason)
        agent = nil
    }

    // MARK: The agent's side

    nonisolated func fromAgent(_ message: StreamMessage) { client.send(message) }

    func agentClosed(_ generation: Int, code: Int, reason: String) {
        guard !isOver, generation == self.generation else { return }
        agent = nil
        // A frozen agent's process ends with its move; the client's socket does not.
        guard !(isHeld && isLocal) else { return }
        finish()
        client.close(code: code, reason: reason)
    }

    // MARK: Moves

    /// Stops giving messages to an agent on this peer, and returns when it has all it was given.
    func hold() async {
        guard !isOver, isLocal || agent == nil else { return }
        isHeld = true
        await settle()
    }

    /// Returns when the client has all the agent had said.
    func settle() async {
        guard let agent else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await agent.settle() }
            group.addTask { try? await Task.sleep(for: Self.settleTime) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Lets the stream go on: with the same agent when it was not moved, else with the one at its new home.
    func release(isSameAgent: Bool) async {
        guard !isOver, isHeld else { return }
        isHeld = false
        if isSameAgent, agent != nil { return pump() }
        agent?.close(code: 1001, reason: "moved")
        agent = nil
        await connect()
    }

    /// The agent went away for good.
    func stop(code: Int, reason: String) {
        guard !isOver else { return }
        finish()
        client.close(code: code, reason: reason)
        agent?.close(code: code, reason: reason)
        agent = nil
    }

    private func connect() async {
        guard !isConnecting, !isOver else { return }
        isConnecting = true
        defer { isConnecting = false }
        generation += 1
        let mine = generation
        do {
            guard let end = try await connector(self, mine) else {
                isHeld = true
                return lookAgainLater()
            }
            guard !isOver, mine == generation else { return end.close(code: 1001, reason: "gone") }
            agent = end
            isLocal = end is AgentSocket
            pump()
        } catch {
            stop(code: 1012, reason: "the agent did not answer")
        }
    }

    /// The agent is frozen. Its release may have come while this stream was asking, so it is asked for again.
    private func lookAgainLater() {
        Task {
            try? await Task.sleep(for: Self.pauseWhileFrozen)
            guard isHeld, agent == nil else { return }
            isHeld = false
            await connect()
        }
    }

    private func pump() {
        guard !isHeld, let agent, !waiting.isEmpty else { return }
        for message in waiting { agent.send(message) }
        waiting = []
        if waitingBytes > Self.highWater { client.setReading(true) }
        waitingBytes = 0
    }

    private func finish() {
        isOver = true
        onEnd()
    }
}
