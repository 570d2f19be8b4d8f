import Synchronization
import Transport

/// A client's own WebSocket at the gate.
final class ClientSocket: WebSocketDelegate, StreamEnd {
    private let socket = Mutex<WebSocket?>(nil)
    private let stream = Mutex<GateStream?>(nil)
    private let events: AsyncStream<Event>
    private let feed: AsyncStream<Event>.Continuation
    private let begin: @Sendable (ClientSocket) async -> GateStream?

    private enum Event: Sendable {
        case open
        case message(StreamMessage)
        case closed(code: Int, reason: String)
    }

    /// - Parameter begin: makes the stream once the client is there; nil refuses it.
    init(begin: @escaping @Sendable (ClientSocket) async -> GateStream?) {
        self.begin = begin
        (events, feed) = AsyncStream.makeStream()
    }

    func webSocketDidOpen(_ socket: WebSocket) {
        self.socket.withLock { $0 = socket }
        feed.yield(.open)
        Task { await run() }
    }

    /// Keeps the order in which the loop tells things.
    private func run() async {
        for await event in events {
            switch event {
            case .open:
                guard let stream = await begin(self) else {
                    close(code: 1013, reason: "too many streams")
                    continue
                }
                self.stream.withLock { $0 = stream }
            case .message(let message): await stream.withLock { $0 }?.fromClient(message)
            case .closed(let code, let reason):
                await stream.withLock { $0.take() }?.clientClosed(code: code, reason: reason)
                feed.finish()
            }
        }
    }

    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        feed.yield(.message(StreamMessage([UInt8](message), isText: isText)))
    }

    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        feed.yield(.closed(code: code, reason: reason))
        self.socket.withLock { $0 = nil }
    }

    func send(_ message: StreamMessage) {
        socket.withLock { $0 }?.send(message.data.bytes, isText: message.isText)
    }

    func setReading(_ isReading: Bool) {
        let socket = socket.withLock { $0 }
        if isReading { socket?.resumeReading() } else { socket?.pauseReading() }
    }

    func settle() async {}

    func close(code: Int, reason: String) {
        socket.withLock { $0 }?.close(code: CloseCodes.sendable(code), reason: reason)
    }
}

/// Close codes that may stand in a frame (RFC 6455 §7.4).
enum CloseCodes {
    /// 1005, 1006 and 1015 only describe an end and are never sent.
    static func sendable(_ code: Int) -> Int {
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: code
        default: 1011
        }
    }
}
