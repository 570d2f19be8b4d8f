import FoundationEssentials
import MeshIdentity
import Observability
import Synchronization
import Transport

/// The connection to the relay: proves the key, beats, and comes back after every loss.
///
/// Reconnects from 1 s to 60 s with ±20 % jitter for ever, but not after 1000 or 4006 (AgentMesh wire §6): the
/// relay said goodbye, or another process speaks for this key and fighting over it would help nobody.
final class RelayLink: WebSocketDelegate {
    private struct State {
        var socket: WebSocket?
        var isWanted = true
        var openedAt = ContinuousClock.now
        var attempts = 0
        var timer: ScheduledTask?
        var heartbeat: ScheduledTask?
        var connecting: Task<Void, Never>?
    }

    /// AgentMesh wire §5: every 30 s; three missed mean offline.
    private static let heartbeatInterval = Duration.seconds(30)
    private static let replacedCode = 4006
    private static let finalCodes = [1000, replacedCode]
    /// A connection that held for so long was a good one: the next loss starts from a short wait again. A relay
    /// that refuses us ends it at once, and must not be asked every second for ever.
    private static let goodAfter = Duration.seconds(10)

    let url: ServiceURL
    private let tls: ClientTLS
    private let loop: EventLoop
    private let identity: Identity
    private let limits: ServerLimits
    private let token: String?
    private let logger: Logger
    private let onFrame: @Sendable ([UInt8]) -> Void
    private let onChange: @Sendable (_ isConnected: Bool) -> Void
    private let state = Mutex(State())

    init(
        url: ServiceURL, tls: ClientTLS, loop: EventLoop, identity: Identity, token: String?,
        maximumMessageBytes: Int, logger: Logger, onFrame: @escaping @Sendable ([UInt8]) -> Void,
        onChange: @escaping @Sendable (_ isConnected: Bool) -> Void
    ) {
        self.url = url
        self.tls = tls
        self.loop = loop
        self.identity = identity
        self.token = token
        self.logger = logger
        self.onFrame = onFrame
        self.onChange = onChange
        var limits = ServerLimits()
        limits.maximumMessageBytes = maximumMessageBytes
        limits.maximumQueuedBytes = 64 << 20
        self.limits = limits
    }

    var isConnected: Bool { state.withLock { $0.socket != nil } }

    /// Whether a loss is followed by a new connection.
    var willReconnect: Bool { state.withLock { $0.isWanted } }

    func start() { connect() }

    /// Says goodbye and stays away.
    func stop() {
        let (socket, connecting) = state.withLock { state in
            state.isWanted = false
            state.timer?.cancel()
            state.heartbeat?.cancel()
            return (state.socket.take(), state.connecting.take())
        }
        connecting?.cancel()
        socket?.close(code: 1000)
    }

    /// Holds the relay back, or lets it go on.
    func setReading(_ isReading: Bool) {
        guard let socket = state.withLock({ $0.socket }) else { return }
        if isReading { socket.resumeReading() } else { socket.pauseReading() }
    }

    /// Hands a frame to the relay; false while there is no connection.
    @discardableResult
    func send(_ frame: [UInt8]) -> Bool {
        guard let socket = state.withLock({ $0.socket }) else { return false }
        socket.send(frame)
        return true
    }

    private func connect() {
        state.withLock { state in
            guard state.isWanted else { return }
            // Inside the lock, so that stop() finds it.
            state.connecting = Task { [self] in
                do {
                    _ = try await WebSocketClient.connect(
                        to: url, on: loop, tls: tls, limits: limits, delegate: self)
                } catch {
                    guard self.state.withLock({ $0.isWanted }) else { return }
                    logger.warn("cannot reach the relay", ["relay": url.description, "error": "\(error)"])
                    retryLater()
                }
            }
        }
    }

    private func retryLater() {
        state.withLock { state in
            guard state.isWanted else { return }
            let seconds = min(60.0, Double(1 << min(state.attempts, 6))) * Double.random(in: 0.8...1.2)
            state.attempts += 1
            state.timer = loop.schedule(after: .milliseconds(Int(seconds * 1000))) { self.connect() }
        }
    }

    func webSocketDidOpen(_ socket: WebSocket) {
        // A peer that is stopping must not prove its key any more: that would throw out its successor.
        guard state.withLock({ $0.isWanted }) else { return socket.close(code: 1000) }
        // The proof goes first: others send as soon as the socket is known.
        socket.send(PeerJSON.encode(ConnectFrame.make(identity: identity, now: Date(), token: token)))
        let isWanted = state.withLock { state -> Bool in
            guard state.isWanted else { return false }
            state.socket = socket
            state.openedAt = .now
            return true
        }
        guard isWanted else { return socket.close(code: 1000) }
        beatLater()
        logger.info("connected to the relay", ["relay": url.description])
        onChange(true)
    }

    private func beatLater() {
        let task = loop.schedule(after: Self.heartbeatInterval) { [self] in
            guard isConnected else { return }
            send(PeerJSON.encode(HeartbeatFrame(from: identity.did.text, now: Date())))
            beatLater()
        }
        state.withLock {
            $0.heartbeat?.cancel()
            $0.heartbeat = task
        }
    }

    func webSocket(
        _ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool
    ) {
        guard isText else { return }
        onFrame([UInt8](message))
    }

    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        let wasCurrent = state.withLock { state -> Bool in
            guard state.socket == socket else { return false }
            state.socket = nil
            state.heartbeat?.cancel()
            if .now - state.openedAt > Self.goodAfter { state.attempts = 0 }
            if Self.finalCodes.contains(code) { state.isWanted = false }
            return true
        }
        guard wasCurrent else { return }
        logger.warn("the relay closed the connection", ["code": code, "reason": reason])
        onChange(false)
        if code == Self.replacedCode {
            logger.error("another process speaks for this peer's key; not reconnecting")
        }
        retryLater()
    }
}
