import CWebSockets

/// A WebSocket this process opens, from the handshake to the last frame.
final class WebSocketDial: ClientConnection, WebSocketLink, @unchecked Sendable {
    typealias Answer = Result<WebSocket, TransportError>

    private let offered: String?
    private let limits: ServerLimits
    private let timeout: Duration
    /// Until the channel has it: an owner may keep the WebSocket, which keeps this.
    private var delegate: (any WebSocketDelegate)?
    private var onAnswer: CheckedContinuation<Answer, Never>?
    private var channel: WebSocketChannel?

    init(
        loop: EventLoop, place: ClientPlace, url: ServiceURL, tls: ClientTLS, headers: HTTPHeaders,
        subprotocols: [String], limits: ServerLimits, timeout: Duration, delegate: any WebSocketDelegate
    ) {
        offered = subprotocols.isEmpty ? nil : subprotocols.joined(separator: ", ")
        self.limits = limits
        self.timeout = timeout
        self.delegate = delegate
        super.init(loop: loop, place: place, url: url, tls: tls, method: nil, headers: headers)
    }

    /// Begins; on the loop.
    func start(_ onAnswer: CheckedContinuation<Answer, Never>) {
        guard !isOver else {
            onAnswer.resume(returning: .failure(.closed))
            return
        }
        self.onAnswer = onAnswer
        setDeadline(after: timeout)
        connect()
    }

    override var subprotocols: String? { offered }

    override func didFail(_ error: TransportError) {
        delegate = nil
        onAnswer.take()?.resume(returning: .failure(error))
        // Not kept: channel, WebSocket and this hold each other.
        channel.take()?.didEnd()
    }

    override func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 {
        let input = UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count)
        switch reason {
        case LWS_CALLBACK_CLIENT_RECEIVE: return channel?.didReceive(input, on: socket) ?? -1
        case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
            channel?.didReceivePong()
            return 0
        case LWS_CALLBACK_CLIENT_WRITEABLE: return channel?.write(on: socket) ?? 0
        case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
            channel?.peerDidClose(input)
            return 0
        case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
            let status = Int(lws_http_client_http_response(socket))
            if status == 101 { return 0 }
            fail(.refused(status: status))
            return -1
        case LWS_CALLBACK_CLIENT_ESTABLISHED: return handshakeDidEnd()
        default: return super.handle(reason, socket, bytes, count)
        }
    }

    func endDidBegin() { setDeadline(after: limits.closeTimeout) }

    func setReading(_ isReading: Bool) {
        if let socket { lws_rx_flow_control(socket, isReading ? 1 : 0) }
    }

    func setMaximumMessageBytes(_ bytes: Int) { channel?.maximumMessageBytes = bytes }

    func receivedBytes() -> Int? { socket.flatMap { SocketTraffic.receivedBytes(of: lws_get_socket_fd($0)) } }

    private func handshakeDidEnd() -> Int32 {
        guard !isOver, let delegate = delegate.take() else { return -1 }
        setDeadline(after: nil)
        let webSocket = WebSocket(
            loop: loop, remoteAddress: place.description, maximumQueuedBytes: limits.maximumQueuedBytes,
            link: self)
        let channel = WebSocketChannel(
            webSocket: webSocket, delegate: delegate, maximumMessageBytes: limits.maximumMessageBytes)
        self.channel = channel
        channel.didOpen()
        onAnswer.take()?.resume(returning: .success(webSocket))
        return 0
    }
}
