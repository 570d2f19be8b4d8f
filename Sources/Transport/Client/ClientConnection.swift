import CWebSockets

/// A connection this process opens: tries the addresses of a place in turn.
class ClientConnection: Connection, @unchecked Sendable {
    let place: ClientPlace
    private let url: ServiceURL
    private let tls: ClientTLS
    private let headers: HTTPHeaders
    /// nil for a WebSocket handshake.
    private let method: String?
    private var nextAddress = 0
    /// Whether the connection, with TLS, came as far as the request.
    private var hasReachedPeer = false
    private(set) var isOver = false

    /// Fields the library writes itself.
    private static let own = [
        "host", "connection", "content-length", "transfer-encoding", "upgrade", "sec-websocket-key",
        "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol",
    ]

    init(
        loop: EventLoop, place: ClientPlace, url: ServiceURL, tls: ClientTLS, method: String?,
        headers: HTTPHeaders
    ) {
        self.place = place
        self.url = url
        self.tls = tls
        self.method = method
        self.headers = headers
        super.init(loop: loop)
    }

    /// The connection failed or ended; told once, at the latest when the socket is freed.
    func didFail(_ error: TransportError) {}

    /// The sub-protocols offered in a WebSocket handshake, with commas between; nil offers none.
    var subprotocols: String? { nil }

    /// Bytes of body that follow the request; nil writes no length.
    var bodyBytes: Int? { nil }

    /// Ends the exchange with an error and cuts the connection.
    final func fail(_ error: TransportError) {
        guard !isOver else { return }
        isOver = true
        didFail(error)
        kill()
    }

    /// Nothing is expected any more.
    final func markOver() { isOver = true }

    /// Opens the connection; on the loop.
    final func connect() {
        guard !isOver, nextAddress < place.addresses.count, let context = loop.context.pointer else {
            fail(.closed)
            loop.context.release(self)
            return
        }
        let address = place.addresses[nextAddress]
        nextAddress += 1
        let host: OpaquePointer
        do throws(TransportError) {
            host = try loop.context.clientHost(url.isSecure ? tls : nil)
        } catch {
            fail(error)
            loop.context.release(self)
            return
        }
        loop.context.retain(self)
        isOpening = true
        wasFreedWhileOpening = false
        let opened = withOptions(address: address, context: context, host: host) {
            lws_client_connect_via_info(&$0)
        }
        isOpening = false
        // A peer that hangs up at once is noticed within the call, which returns the freed socket all the same.
        if let opened, !wasFreedWhileOpening {
            if socket == nil && !isOver { attach(opened) }
        } else {
            connectionDidFail("the connection was refused")
        }
    }

    override func deadlineDidPass() { fail(.timedOut("connection to \(place.description)")) }

    override func didEnd() {
        guard !isOver else { return }
        isOver = true
        didFail(.closed)
    }

    override func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 {
        switch reason {
        case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
            let text = UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count)
            // The library may free the socket without another word.
            lws_set_opaque_user_data(socket, nil)
            connectionDidFail(String(decoding: text.prefix { $0 != 0 }, as: UTF8.self))
            return 0
        case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
            hasReachedPeer = true
            return appendHeaders(bytes, room: count, socket)
        default:
            return 0
        }
    }

    private func connectionDidFail(_ cause: String) {
        detach()
        if isOver || hasReachedPeer || nextAddress >= place.addresses.count {
            if !isOver {
                isOver = true
                let isTLS = url.isSecure && (cause.contains("SSL") || cause.contains("cert"))
                didFail(
                    isTLS ? .tls("\(place.description): \(cause)")
                        : hasReachedPeer ? .closed : .cannotConnect(place.description, cause.lowercased()))
            }
            loop.context.release(self)
        } else {
            // Not from within the library's failure of the last attempt.
            loop.execute { [self] in connect() }
        }
    }

    private func appendHeaders(
        _ bytes: UnsafeMutableRawPointer?, room: Int, _ socket: OpaquePointer
    ) -> Int32 {
        guard let bytes else { return -1 }
        var text = ""
        for (name, value) in headers where !Self.own.contains(where: { HTTPHeaders.isSame($0, name) }) {
            text += "\(name): \(value)\r\n"
        }
        if let count = bodyBytes {
            text += "content-length: \(count)\r\n"
            if count > 0 { lws_client_http_body_pending(socket, 1) }
        }
        guard text.utf8.count < room else {
            fail(.tooLarge(limit: room))
            return -1
        }
        let cursor = bytes.assumingMemoryBound(to: UnsafeMutablePointer<UInt8>.self)
        for byte in text.utf8 {
            cursor.pointee.pointee = byte
            cursor.pointee += 1
        }
        return 0
    }

    private func withOptions<Result>(
        address: String, context: OpaquePointer, host: OpaquePointer,
        _ body: (inout lws_client_connect_info) -> Result
    ) -> Result {
        var options = lws_client_connect_info()
        options.context = context
        options.vhost = host
        options.port = Int32(place.port)
        options.ssl_connection = Int32(LCCSCF_HTTP_NO_FOLLOW_REDIRECT.rawValue)
        if url.isSecure { options.ssl_connection |= Int32(LCCSCF_USE_SSL.rawValue) }
        // Keeps "connection: close" out of the request. On a Unix socket the kernel reports the end of a
        // peer before its last bytes are read, and the library would drop them: the peer must not end
        // first. No request ever joins another: address and host of a Unix socket differ, which rules it out.
        if place.isUnix { options.ssl_connection |= Int32(LCCSCF_PIPELINE.rawValue) }
        options.ietf_version_or_minus_one = -1
        options.local_protocol_name = UnsafePointer(TransportProtocol.name)
        options.opaque_user_data = Unmanaged.passUnretained(self).toOpaque()
        // The library copies what it is given here.
        return address.withCString { address in
            url.target.withCString { target in
                // The library announces, verifies and sends as `Host` one and the same name.
                (tls.serverName ?? place.host).withCString { name in
                    (method ?? "").withCString { method in
                        (subprotocols ?? "").withCString { offered in
                            options.address = address
                            options.path = target
                            options.host = name
                            if self.method != nil { options.method = method }
                            if subprotocols != nil { options.protocol = offered }
                            return body(&options)
                        }
                    }
                }
            }
        }
    }
}
