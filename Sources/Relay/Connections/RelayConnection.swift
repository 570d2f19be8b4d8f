import FoundationEssentials
import MeshIdentity
import Synchronization
import Transport

/// One client of the relay.
///
///     didOpen → awaitingConnect ──connect──→ checking ──registered──→ open ──→ closed
///                     └── 10 s, other frame, refused ──→ closed ←── 90 s, replaced, disconnect
// @unchecked Sendable: every variable is used on the loop of its socket alone: the delegate's calls come
// there, timers are scheduled there, and `onLoop` brings everything else there. `home` is a lock.
final class RelayConnection: WebSocketDelegate, @unchecked Sendable {
    enum Phase {
        case awaitingConnect
        /// The proof is valid, token or registration are being checked; frames that arrive meanwhile wait.
        case checking(held: [[UInt8]])
        case open(Admission.Agent)
        case closed
    }

    let context: RelayContext
    var phase = Phase.awaitingConnect
    /// The loop of the socket; nil before the opening.
    private let home = Mutex<EventLoop?>(nil)
    /// nil before the opening and after the end.
    var socket: WebSocket?
    var drain: InboxDrain
    private var frameBucket: TokenBucket
    private var byteBucket: TokenBucket
    private var isPaused = false
    /// Whether ``PeerCounts`` holds this connection.
    private var isCounted = false
    private var heldBytes = 0
    private var lastHeard = ContinuousClock.now
    private var timer: ScheduledTask?
    private var openedAt = ContinuousClock.now
    private var faultBucket: TokenBucket
    private var isVerified = false
    private var hasFetched = false
    private var hasProgressed = true
    /// When a key must be proven, or admission refused for want of time.
    private var handshakeEnd = ContinuousClock.now

    init(context: RelayContext) {
        self.context = context
        let limits = context.limits
        let now = ContinuousClock.now
        frameBucket = TokenBucket(rate: limits.framesPerSecond, burst: limits.frameBurst, now: now)
        byteBucket = TokenBucket(rate: limits.bytesPerSecond, burst: limits.byteBurst, now: now)
        faultBucket = TokenBucket(rate: limits.faultyFramesPerSecond, burst: limits.faultyFrames, now: now)
        drain = InboxDrain(
            window: DrainWindow(
                maximum: InboxUsage(messages: limits.drainMessages, bytes: limits.drainBytes)))
    }

    func webSocketDidOpen(_ socket: WebSocket) {
        self.socket = socket
        home.withLock { $0 = socket.loop }
        context.metrics.connections.add(1)
        isCounted = context.peers.enter(socket.remoteAddress)
        guard isCounted else { return close(.tooManyFromPeer, detail: "too many connections from your address") }
        if context.memory.isExceeded {
            return close(.overloaded, detail: "the relay is overloaded, try again later")
        }
        socket.setMaximumMessageBytes(min(context.limits.connectFrameBytes, context.limits.frameBytes))
        handshakeEnd = .now + context.limits.handshakeTimeout
        armTimer(after: min(context.limits.handshakeTimeout, context.limits.strangerInterval))
    }

    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        if case .closed = phase { return }
        lastHeard = .now
        let wait = max(
            frameBucket.use(1, now: lastHeard), byteBucket.use(Double(message.count), now: lastHeard))
        if wait > .zero { pauseReading(for: wait) }
        guard isText else { return fault(.malformed, "a frame is text") }
        if case .checking(var held) = phase {
            heldBytes += message.count
            guard held.count < context.limits.heldFrames, heldBytes <= context.limits.heldBytes else {
                return close(.tooManyFaults, detail: "too many frames before the connection was admitted")
            }
            // So that the array is not copied while two hold it.
            phase = .closed
            held.append([UInt8](message))
            phase = .checking(held: held)
            return
        }
        handle(message)
    }

    func webSocketDidDrain(_ socket: WebSocket) {
        hasProgressed = true
        pump()
    }

    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        // The transport closes for a frame beyond the bound that was set at the opening.
        if case .awaitingConnect = phase, code == 1009 { context.metrics.count(.connectTooLong) }
        noteEnd(of: "client", detail: "code \(code)")
        leave()
        self.socket = nil
        context.metrics.connections.add(-1)
        if isCounted { context.peers.leave(socket.remoteAddress) }
    }

    /// Closes from any thread; messages stay in the inbox.
    func close(_ reason: CloseReason) {
        onLoop { $0.close(reason, detail: nil) }
    }

    /// Reads the inbox from the last message sent; from any thread.
    func catchUp() { onLoop { $0.pump() } }
}

// MARK: - Admission

extension RelayConnection {
    func admit(_ bytes: [UInt8]) {
        let agent: Admission.Agent
        do throws(Refusal) {
            agent = try context.admission.check(bytes, now: context.now())
        } catch {
            return close(error.reason, detail: error.detail)
        }
        // The key is proven: frames may be as long as any, within what is held until the admission is decided.
        socket?.setMaximumMessageBytes(context.limits.frameBytes)
        guard context.admission.asksOthers else { return open(agent) }
        phase = .checking(held: [])
        socket?.pauseReading()
        Task {
            let verdict: Result<Bool, Refusal>
            do throws(Refusal) {
                verdict = .success(try await context.admission.decide(on: agent, now: context.now()))
            } catch {
                verdict = .failure(error)
            }
            onLoop { $0.finishCheck(of: agent, verdict) }
        }
    }

    private func finishCheck(of agent: Admission.Agent, _ verdict: Result<Bool, Refusal>) {
        guard case .checking(let held) = phase else { return }
        switch verdict {
        case .failure(let refusal):
            if let cause = refusal.cause {
                context.logger.warn(
                    "agent not checked", ["did": agent.did, "reason": refusal.reason.rawValue, "cause": cause])
            }
            return close(refusal.reason, detail: refusal.detail)
        case .success(let isVerified):
            self.isVerified = isVerified
        }
        open(agent)
        for frame in held {
            if case .open = phase { frame.withUnsafeBytes { handle($0) } }
        }
        if !isPaused { socket?.resumeReading() }
    }

    private func open(_ agent: Admission.Agent) {
        guard let socket else { return }
        var agent = agent
        // Up to 16 KiB of a secret that nobody asks for any more.
        agent.accessToken = nil
        phase = .open(agent)
        context.strangers.giveBack(socket.remoteAddress)
        openedAt = .now
        context.metrics.agents.add(1)
        if isVerified { context.metrics.verifiedAgents.add(1) }
        if agent.wantsReceipts { socket.send(RelayFrame.connected(extensions: [Admission.receipts])) }
        let previous = context.table.register(self, socket: socket, at: agent.address)
        previous?.close(.replaced)
        context.logger.debug("agent connected", ["did": agent.did, "peer": socket.remoteAddress])
        armTimer(after: context.limits.idleTimeout)
        pump()
    }
}

// MARK: - Frames that are not forwarded

extension RelayConnection {
    /// Acts on the control frames of an admitted client.
    func handleControl(_ type: FrameType, id: String?, from agent: Admission.Agent) {
        switch type {
        case .ack:
            guard let id else { return }
            context.table.acknowledge(id: id, recipient: agent.address)
            drain.acknowledge(id: id)
            pump()
        case .fetchPending:
            let isCovered = !hasFetched && .now - openedAt < context.limits.fetchGrace
            hasFetched = true
            if !isCovered { restartDrain() }
        case .disconnect: close(.disconnect, detail: nil)
        case .connect: fault(.malformed, "already connected")
        // Hearing of a client is all a heartbeat is for. An error frame gets no answer, lest two ends
        // complain to each other for ever.
        case .heartbeat, .error: break
        case .message, .knock, .knockAccept, .knockReject: break
        }
    }

    /// Answers with an error frame; too many end the connection.
    func fault(_ reason: DropReason, _ detail: String) {
        context.metrics.count(reason)
        if case .awaitingConnect = phase { return close(.notConnect, detail: detail) }
        guard faultBucket.use(1, now: .now) == .zero else {
            return close(.tooManyFaults, detail: "too many faulty frames")
        }
        socket?.send(RelayFrame.error(detail))
    }
}

// MARK: - Time and end

extension RelayConnection {
    /// Runs on the connection's loop: at once when already there.
    func onLoop(_ body: @escaping @Sendable (RelayConnection) -> Void) {
        guard let loop = home.withLock({ $0 }) else { return }
        if loop.isOnLoop { body(self) } else { loop.execute { body(self) } }
    }

    func pauseReading(for wait: Duration) {
        guard !isPaused, let socket else { return }
        isPaused = true
        context.metrics.pauses.add()
        socket.pauseReading()
        socket.loop.schedule(after: wait) { [weak self] in
            guard let self else { return }
            isPaused = false
            if case .checking = phase { return }
            self.socket?.resumeReading()
        }
    }

    private var isOpen: Bool { if case .open = phase { true } else { false } }

    private func armTimer(after delay: Duration) {
        timer?.cancel()
        timer = socket?.loop.schedule(after: delay) { [weak self] in self?.timeIsUp() }
    }

    private func timeIsUp() {
        switch phase {
        case .closed: return
        case .awaitingConnect, .checking:
            let left = handshakeEnd - .now
            guard left > .zero else { return close(.handshakeTimeout, detail: "no valid connect frame in time") }
            if case .awaitingConnect = phase, let bytes = socket?.receivedBytes(),
                bytes > context.limits.strangerBytes
            {
                return close(.strangerTooLoud, detail: "too much was sent before a connect frame")
            }
            armTimer(after: min(left, context.limits.strangerInterval))
        case .open:
            let limit = context.limits.idleTimeout
            let silence = ContinuousClock.now - lastHeard
            if silence >= limit { return close(.idle, detail: nil) }
            // Nothing was taken from a full queue during a whole period: the client is there, but stuck.
            if let socket, socket.queuedBytes > 0, !hasProgressed { return close(.stalled, detail: nil) }
            hasProgressed = socket?.queuedBytes == 0
            armTimer(after: limit - silence)
        }
    }

    /// Tells the client why, closes and lets go of the address.
    func close(_ reason: CloseReason, detail: String?) {
        if case .closed = phase { return }
        noteEnd(of: reason.rawValue, detail: detail ?? "")
        if reason.isOurs, !isOpen, let socket { context.strangers.giveBack(socket.remoteAddress) }
        leave()
        context.metrics.count(reason)
        if let detail { socket?.send(RelayFrame.error(detail)) }
        socket?.close(code: reason.code, reason: reason.text)
        // The answer to the close frame must be read, also from a client that was held back.
        socket?.resumeReading()
    }

    /// One line for each connection: of an agent for the operator, of a stranger, who may come often, for the curious.
    private func noteEnd(of reason: String, detail: String) {
        let peer = socket?.remoteAddress ?? ""
        switch phase {
        case .closed: return
        case .open(let agent):
            context.logger.info(
                "agent disconnected",
                [
                    "did": agent.did, "peer": peer, "reason": reason, "detail": detail,
                    "seconds": Int((ContinuousClock.now - openedAt) / .seconds(1)),
                ])
        case .awaitingConnect, .checking:
            context.logger.debug("connection closed", ["reason": reason, "peer": peer, "detail": detail])
        }
    }

    private func leave() {
        timer?.cancel()
        timer = nil
        drain.patience?.cancel()
        if case .open(let agent) = phase {
            if context.table.unregister(self, at: agent.address) { context.successions?.watch(agent.address) }
            context.metrics.agents.add(-1)
            if isVerified { context.metrics.verifiedAgents.add(-1) }
        }
        phase = .closed
    }
}
