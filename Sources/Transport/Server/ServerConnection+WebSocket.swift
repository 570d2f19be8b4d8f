import CWebSockets

/// Turns a connection into a WebSocket.
extension ServerConnection: WebSocketLink {
    func confirmUpgrade(_ socket: OpaquePointer) -> Int32 {
        lws_set_timeout(socket, NO_PENDING_TIMEOUT, 0)
        // For a protocol it does not know the library has answered and dropped the head already.
        guard let wanted = ParsedHead.text(of: WSI_TOKEN_UPGRADE, on: socket) else { return -1 }
        guard HTTPHeaders.isSame(wanted, "websocket"), !isDraining,
            let (method, path) = ParsedHead.methodAndPath(of: socket), method == "GET"
        else { return refuseUpgrade(socket, status: 501) }
        let upgrade = WebSocketUpgrade(
            path: path, query: ParsedHead.query(of: socket),
            headers: ParsedHead.headers(of: socket, custom: server.customHeaders),
            remoteAddress: remoteAddress)
        guard let delegate = server.webSocket?(upgrade) else { return refuseUpgrade(socket, status: 404) }
        self.upgrade = delegate
        return 0
    }

    private func refuseUpgrade(_ socket: OpaquePointer, status: Int) -> Int32 {
        _ = writeHead(
            ResponseHead.bytes(status: status, headers: [:], framing: .length(0), closes: true), socket)
        return -1
    }

    func writeHead(_ head: [UInt8], _ socket: OpaquePointer) -> Int32 {
        var bytes = [UInt8](repeating: 0, count: OutgoingMessage.headroom) + head
        let written = bytes.withUnsafeMutableBufferPointer {
            lws_write(
                socket, $0.baseAddress! + OutgoingMessage.headroom, head.count, LWS_WRITE_HTTP_HEADERS)
        }
        return written < 0 ? -1 : 0
    }

    func webSocketDidOpen() -> Int32 {
        guard let delegate = upgrade.take() else { return -1 }
        setDeadline(after: nil)
        let webSocket = WebSocket(
            loop: loop, remoteAddress: remoteAddress,
            maximumQueuedBytes: server.limits.maximumQueuedBytes, link: self)
        let channel = WebSocketChannel(
            webSocket: webSocket, delegate: delegate,
            maximumMessageBytes: server.limits.maximumMessageBytes)
        state = .webSocket(channel)
        channel.didOpen()
        if isDraining { drain() }
        return 0
    }

    func endDidBegin() { setDeadline(after: server.limits.closeTimeout) }

    func setReading(_ isReading: Bool) {
        if let socket { lws_rx_flow_control(socket, isReading ? 1 : 0) }
    }

    func setMaximumMessageBytes(_ bytes: Int) {
        if case .webSocket(let channel) = state { channel.maximumMessageBytes = bytes }
    }

    func receivedBytes() -> Int? { socket.flatMap { SocketTraffic.receivedBytes(of: lws_get_socket_fd($0)) } }
}
