import CWebSockets

/// The frames of one WebSocket, the same on a server and a client; used on its loop's thread alone.
final class WebSocketChannel {
    /// Messages written in a row before other sockets get their turn.
    private static let batch = 256

    let webSocket: WebSocket
    private let delegate: any WebSocketDelegate
    /// Longest message in bytes, all fragments together.
    var maximumMessageBytes: Int
    private var partial: [UInt8] = []
    private var closeCode = 1006
    private var closeReason = ""
    private var isClosing = false
    private var hasEnded = false

    init(webSocket: WebSocket, delegate: any WebSocketDelegate, maximumMessageBytes: Int) {
        self.webSocket = webSocket
        self.delegate = delegate
        self.maximumMessageBytes = maximumMessageBytes
    }

    func didOpen() { delegate.webSocketDidOpen(webSocket) }

    /// A piece of a message; returns non-zero to close.
    func didReceive(_ bytes: UnsafeRawBufferPointer, on socket: OpaquePointer) -> Int32 {
        guard !isClosing else { return 0 }
        let isFinal = lws_is_final_fragment(socket) != 0
        let isText = lws_frame_is_binary(socket) == 0
        if isFinal && partial.isEmpty {
            guard bytes.count <= maximumMessageBytes else { return refuse(socket) }
            delegate.webSocket(webSocket, didReceive: bytes, isText: isText)
            return 0
        }
        let announced = isFinal ? 0 : Int(clamping: lws_remaining_packet_payload(socket))
        guard partial.count + bytes.count + announced <= maximumMessageBytes else { return refuse(socket) }
        if partial.isEmpty { partial.reserveCapacity(bytes.count + announced) }
        partial.append(contentsOf: bytes)
        guard isFinal else { return 0 }
        var message: [UInt8] = []
        swap(&message, &partial)
        message.withUnsafeBytes { delegate.webSocket(webSocket, didReceive: $0, isText: isText) }
        return 0
    }

    /// Writes what waits while the socket takes it; returns non-zero to close.
    func write(on socket: OpaquePointer) -> Int32 {
        guard !isClosing else { return 0 }
        var corked: Int32?
        defer { if let corked { SocketBatch.end(corked) } }
        for _ in 0..<Self.batch {
            // The library keeps what the kernel did not take; nothing may follow until that is gone.
            if lws_partial_buffered(socket) != 0 { break }
            switch webSocket.takeNext() {
            case .nothing: return 0
            case .close(let close): return begin(close, on: socket)
            case .message(var message, let isLast):
                let kind =
                    switch message.kind {
                    case .text: LWS_WRITE_TEXT
                    case .binary: LWS_WRITE_BINARY
                    case .ping: LWS_WRITE_PING
                    }
                if corked == nil, !isLast { corked = SocketBatch.begin(lws_get_socket_fd(socket)) }
                let count = message.payloadBytes
                let written = message.storage.withUnsafeMutableBufferPointer { buffer in
                    lws_write(socket, buffer.baseAddress! + OutgoingMessage.headroom, count, kind)
                }
                guard written >= 0 else { return -1 }
                if isLast { delegate.webSocketDidDrain(webSocket) }
            }
        }
        lws_callback_on_writable(socket)
        return 0
    }

    func didReceivePong() { delegate.webSocketDidReceivePong(webSocket) }

    /// The peer's close frame.
    func peerDidClose(_ payload: UnsafeRawBufferPointer) {
        guard !isClosing else { return }
        if payload.count >= 2 {
            closeReason = String(decoding: payload.dropFirst(2), as: UTF8.self)
            closeCode = CloseCode.received(Int(payload[0]) << 8 | Int(payload[1]), reason: closeReason)
        } else {
            closeCode = 1005
        }
        isClosing = true
        webSocket.markClosed()
    }

    /// The last word to the delegate.
    func didEnd() {
        guard !hasEnded else { return }
        hasEnded = true
        webSocket.markEnded()
        delegate.webSocketDidClose(webSocket, code: closeCode, reason: closeReason)
    }

    private func refuse(_ socket: OpaquePointer) -> Int32 {
        partial = []
        return begin(Outbox.Close(code: 1009, reason: "message too big"), on: socket)
    }

    private func begin(_ close: Outbox.Close, on socket: OpaquePointer) -> Int32 {
        isClosing = true
        closeCode = close.code
        closeReason = close.reason
        webSocket.markClosed()
        var reason = CloseCode.reasonToSend(close.reason, with: close.code)
        lws_close_reason(
            socket, lws_close_status(UInt32(CloseCode.sendable(close.code))), &reason, reason.count)
        return -1
    }
}
