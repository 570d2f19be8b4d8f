import Synchronization
import Transport

/// The WebSocket between a gate and an agent on this peer.
final class AgentSocket: WebSocketDelegate, StreamEnd {
    private struct State: Sendable {
        var socket: WebSocket?
        var settling: [CheckedContinuation<Void, Never>] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let stream: GateStream
    private let generation: Int

    private init(_ stream: GateStream, _ generation: Int) {
        self.stream = stream
        self.generation = generation
    }

    /// Opens it.
    static func connect(
        _ socket: String, _ target: String, stream: GateStream, generation: Int, loop: EventLoop
    ) async throws -> AgentSocket {
        let end = AgentSocket(stream, generation)
        var limits = ServerLimits()
        limits.maximumMessageBytes = 1 << 20
        _ = try await WebSocketClient.connect(
            to: ServiceURL(unixSocket: socket, scheme: .ws, target: target), on: loop, limits: limits,
            delegate: end)
        return end
    }

    func webSocketDidOpen(_ socket: WebSocket) { state.withLock { $0.socket = socket } }

    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        stream.fromAgent(StreamMessage([UInt8](message), isText: isText))
    }

    func webSocketDidReceivePong(_ socket: WebSocket) {
        let settled = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.settling.isEmpty ? nil : state.settling.removeFirst()
        }
        settled?.resume()
    }

    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        let settling = state.withLock { state in
            state.isClosed = true
            state.socket = nil
            defer { state.settling = [] }
            return state.settling
        }
        for one in settling { one.resume() }
        Task { await stream.agentClosed(generation, code: code, reason: reason) }
    }

    func send(_ message: StreamMessage) {
        state.withLock { $0.socket }?.send(message.data.bytes, isText: message.isText)
    }

    func setReading(_ isReading: Bool) {
        let socket = state.withLock { $0.socket }
        if isReading { socket?.resumeReading() } else { socket?.pauseReading() }
    }

    /// A pong comes behind everything the agent sent before it, and after it read what was sent before the ping.
    func settle() async {
        await withCheckedContinuation { continuation in
            let socket = state.withLock { state -> WebSocket? in
                guard !state.isClosed, let socket = state.socket else { return nil }
                state.settling.append(continuation)
                return socket
            }
            if let socket { socket.ping() } else { continuation.resume() }
        }
    }

    func close(code: Int, reason: String) {
        state.withLock { $0.socket }?.close(code: CloseCodes.sendable(code), reason: reason)
    }
}
