import Synchronization
import Transport

/// One end of a stream over the node's Unix socket: a WebSocket whose binary messages are items, a byte for the channel
/// and the content. The request and its answer go before them as text. Whoever reads slowly is what holds the other back.
final class SocketStream: PeerStream, WebSocketDelegate {
    /// Content that waits to be taken before the other side is held back, and to be written before the sender waits.
    private static let highWater = 512 << 10
    private static let pieceBytes = 128 << 10

    private struct State {
        var socket: WebSocket?
        var items: [StreamItem] = []
        var bytes = 0
        var isHeldBack = false
        var result: StreamResult?
        var failure: OperationFailure?
        var isAsked = false
        /// Items follow the answer to the request.
        var isAnswered = false
        var texts: [[UInt8]] = []
        var waiters: [CheckedContinuation<Void, Never>] = []
        var writers: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())
    /// Gets the request; nil at the side that asks.
    private let onRequest: (@Sendable (SocketStream, [UInt8]) -> Void)?

    init(onRequest: (@Sendable (SocketStream, [UInt8]) -> Void)? = nil) { self.onRequest = onRequest }

    var result: StreamResult? { state.withLock { $0.result } }

    // MARK: Request and answer

    /// Sends the request, at the side that asks.
    func ask(_ request: [UInt8]) {
        let socket = state.withLock { state in
            state.isAnswered = true
            return state.socket
        }
        socket?.send(request, isText: true)
    }

    /// Answers the request; what was sent meanwhile waits until then.
    func answer(_ answer: [UInt8], isOpen: Bool) {
        let socket = state.withLock { $0.socket }
        socket?.send(answer, isText: true)
        state.withLock { $0.isAnswered = true }
        if !isOpen { socket?.close(code: 1000) }
        wakeAll()
    }

    /// The answer to the request.
    func answer() async throws -> [UInt8] {
        while true {
            let text = try state.withLock { state -> [UInt8]? in
                if !state.texts.isEmpty { return state.texts.removeFirst() }
                if let failure = state.failure { throw failure }
                return nil
            }
            if let text { return text }
            try await wait(\.waiters) { $0.failure == nil && $0.texts.isEmpty }
        }
    }

    // MARK: PeerStream

    func send(_ item: StreamItem) async throws {
        var rest = item.bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Self.pieceBytes)
            rest = rest.dropFirst(piece.count)
            try await wait(\.writers) {
                $0.failure == nil && $0.result == nil
                    && (!$0.isAnswered || ($0.socket?.queuedBytes ?? 0) > Self.highWater)
            }
            let socket = try state.withLock { state -> WebSocket? in
                if let failure = state.failure { throw failure }
                guard state.result == nil else { throw Self.unwanted }
                return state.socket
            }
            socket?.send([item.channel.rawValue] + piece, isText: false)
        }
    }

    func next() async throws -> StreamItem? {
        while true {
            let (item, isOver) = try state.withLock { state -> (StreamItem?, Bool) in
                guard !state.items.isEmpty else {
                    if state.result != nil { return (nil, true) }
                    if let failure = state.failure { throw failure }
                    return (nil, false)
                }
                let item = state.items.removeFirst()
                state.bytes -= item.bytes.count
                if state.isHeldBack, state.bytes <= Self.highWater / 2 {
                    state.isHeldBack = false
                    state.socket?.resumeReading()
                }
                return (item, false)
            }
            if let item { return item }
            if isOver { return nil }
            try await wait(\.waiters) { $0.failure == nil && $0.result == nil && $0.items.isEmpty }
        }
    }

    func finish(_ result: StreamResult) async {
        try? await send(StreamItem(.end, PeerJSON.encode(result)))
        state.withLock { $0.socket }?.close(code: 1000)
    }

    func cancel(_ reason: OperationFailure) {
        let socket = state.withLock { state in
            if state.failure == nil { state.failure = reason }
            return state.socket
        }
        socket?.close(code: 1000)
        wakeAll()
    }

    private func wait(
        _ waiters: any WritableKeyPath<State, [CheckedContinuation<Void, Never>]> & Sendable,
        while condition: @escaping @Sendable (State) -> Bool
    ) async throws {
        while true {
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let waits = state.withLock { state -> Bool in
                        guard condition(state), !Task.isCancelled else { return false }
                        state[keyPath: waiters].append(continuation)
                        return true
                    }
                    if !waits { continuation.resume() }
                }
            } onCancel: {
                wakeAll()
            }
            try Task.checkCancellation()
            if state.withLock({ !condition($0) }) { return }
        }
    }

    private func wakeAll() {
        let woken = state.withLock { state in
            defer { (state.waiters, state.writers) = ([], []) }
            return state.waiters + state.writers
        }
        for one in woken { one.resume() }
    }

    // MARK: WebSocketDelegate

    func webSocketDidOpen(_ socket: WebSocket) {
        let isUnwanted = state.withLock { state in
            state.socket = socket
            return state.failure != nil
        }
        if isUnwanted { socket.close(code: 1000) }
    }

    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        if isText {
            let text = [UInt8](message)
            let isRequest = state.withLock { state -> Bool in
                guard onRequest == nil else {
                    // One stream, one request.
                    defer { state.isAsked = true }
                    return !state.isAsked
                }
                if state.texts.isEmpty { state.texts.append(text) }
                return false
            }
            if isRequest { onRequest?(self, text) }
        } else if let first = message.first, let channel = StreamItem.Channel(rawValue: first) {
            let item = StreamItem(channel, Array(message.dropFirst()))
            state.withLock { state in
                guard state.result == nil, state.failure == nil else { return }
                if channel == .end {
                    state.result = PeerJSON.decode(StreamResult.self, from: item.bytes)
                        ?? StreamResult(failure: OperationFailure(.failed, "the end of a stream makes no sense"))
                    return
                }
                state.items.append(item)
                state.bytes += item.bytes.count
                guard state.bytes > Self.highWater, !state.isHeldBack else { return }
                state.isHeldBack = true
                socket.pauseReading()
            }
        }
        wakeAll()
    }

    func webSocketDidDrain(_ socket: WebSocket) { wakeAll() }

    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        state.withLock { state in
            state.socket = nil
            if state.failure == nil { state.failure = OperationFailure(.unavailable, "the other side of the stream went away") }
        }
        wakeAll()
    }
}
