import CWebSockets
import Glibc

/// One accepted connection: requests in turn, or a WebSocket after an upgrade.
///
///     waiting → receiving → handling → responding → waiting …
///         └→ webSocket
final class ServerConnection: Connection, @unchecked Sendable {
    fileprivate enum State {
        /// For TLS, a request head, or the next one.
        case waiting
        case receiving(PendingRequest)
        /// The handler runs.
        case handling(Task<Void, Never>)
        case responding(ResponseWriter, Task<Void, Never>?)
        case webSocket(WebSocketChannel)
        case closing
    }

    /// A request whose body is arriving.
    fileprivate struct PendingRequest {
        let head: HTTPRequest
        var body: [UInt8] = []
        var decoder: ChunkedDecoder?
    }

    private let server: Server.Core
    let remoteAddress: String
    private var state = State.waiting
    private var upgrade: (any WebSocketDelegate)?
    private var isHead = false
    private var isOldVersion = false
    private var closesAfterResponse = false
    /// Whether the answer was given before the request was read to its end.
    private var isBodyUnread = false
    private var isDraining = false
    private var watchToken: UInt64?

    init(server: Server.Core, loop: EventLoop, remoteAddress: String) {
        self.server = server
        self.remoteAddress = remoteAddress
        super.init(loop: loop)
    }

    override func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 {
        let input = UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count)
        switch reason {
        case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return confirmUpgrade(socket)
        case LWS_CALLBACK_HTTP: return requestDidArrive(socket)
        case LWS_CALLBACK_HTTP_BODY: return bodyDidArrive(input, socket)
        case LWS_CALLBACK_HTTP_BODY_COMPLETION: return bodyDidEnd(socket)
        case LWS_CALLBACK_HTTP_WRITEABLE: return write(socket)
        case LWS_CALLBACK_ESTABLISHED: return webSocketDidOpen()
        case LWS_CALLBACK_RECEIVE:
            guard case .webSocket(let channel) = state else { return -1 }
            return channel.didReceive(input, on: socket)
        case LWS_CALLBACK_SERVER_WRITEABLE:
            guard case .webSocket(let channel) = state else { return -1 }
            return channel.write(on: socket)
        case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
            if case .webSocket(let channel) = state { channel.peerDidClose(input) }
            return 0
        // CONNECT would turn the socket into a raw one.
        case LWS_CALLBACK_RAW_ADOPT, LWS_CALLBACK_RAW_RX: return -1
        default: return 0
        }
    }

    /// Ends soon: at once when idle, after the answer under way, or with 1012 on a WebSocket.
    func drain() {
        isDraining = true
        switch state {
        case .waiting, .receiving: kill()
        case .handling, .responding: closesAfterResponse = true
        case .webSocket(let channel): channel.webSocket.close(code: 1012, reason: "going away")
        case .closing: break
        }
    }

    func belongs(to other: Server.Core) -> Bool { server === other }

    override func deadlineDidPass() {
        state.task?.cancel()
        kill()
    }

    override func didEnd() {
        let last = state
        state = .closing
        if let watchToken { loop.context.readinessWatch(on: loop)?.remove(watchToken) }
        switch last {
        case .waiting, .receiving, .closing: break
        case .handling(let task): task.cancel()
        case .responding(let writer, let task):
            task?.cancel()
            writer.close()
        case .webSocket(let channel): channel.didEnd()
        }
        server.connectionDidEnd()
    }
}

// MARK: - Requests

extension ServerConnection {
    private func requestDidArrive(_ socket: OpaquePointer) -> Int32 {
        // The library gives a request 20 seconds in all unless told otherwise; ours are the deadlines.
        lws_set_timeout(socket, NO_PENDING_TIMEOUT, 0)
        closesAfterResponse = isDraining
        isBodyUnread = false
        isOldVersion = ParsedHead.text(of: WSI_TOKEN_HTTP, on: socket) != "HTTP/1.1"
        guard let (method, path) = ParsedHead.methodAndPath(of: socket) else { return -1 }
        isHead = method == "HEAD"
        let headers = ParsedHead.headers(of: socket, custom: server.customHeaders)
        if asksToClose(headers) { closesAfterResponse = true }
        let head = HTTPRequest(
            method: method, path: path, query: ParsedHead.query(of: socket), headers: headers,
            remoteAddress: remoteAddress)
        let framing = RequestFraming(
            method: method, headers: headers, maximumBodyBytes: server.limits.maximumBodyBytes)
        switch framing {
        case .refused(let status):
            closesAfterResponse = true
            isBodyUnread = true
            return respond(.text("", status: status), socket)
        case .none:
            // Without a length the library expects a body of these methods and cannot go on after it.
            if ["POST", "PUT", "PATCH"].contains(method), headers["content-length"] == nil {
                closesAfterResponse = true
            }
            return handle(head, body: [], socket)
        case .length(let count):
            var pending = PendingRequest(head: head)
            pending.body.reserveCapacity(count)
            state = .receiving(pending)
        case .chunked:
            closesAfterResponse = true
            state = .receiving(PendingRequest(head: head, decoder: ChunkedDecoder()))
        }
        setDeadline(after: server.limits.handshakeTimeout)
        if let expected = headers["expect"], HTTPHeaders.isSame(expected, "100-continue") {
            return writeHead(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8), socket)
        }
        return 0
    }

    private func bodyDidArrive(_ bytes: UnsafeRawBufferPointer, _ socket: OpaquePointer) -> Int32 {
        // A body nobody waits for is thrown away, within the deadline.
        guard case .receiving(var pending) = state else { return 0 }
        state = .waiting  // so that the array is not copied
        if pending.decoder != nil {
            do throws(TransportError) {
                try pending.decoder?.decode(bytes, into: &pending.body)
            } catch {
                isBodyUnread = true
                return respond(.text("", status: 400), socket)
            }
        } else {
            pending.body.append(contentsOf: bytes)
        }
        guard pending.body.count <= server.limits.maximumBodyBytes else {
            closesAfterResponse = true
            isBodyUnread = true
            return respond(.text("", status: 413), socket)
        }
        if pending.decoder?.isDone == true {
            return handle(pending.head, body: pending.body, socket)
        }
        state = .receiving(pending)
        return 0
    }

    private func bodyDidEnd(_ socket: OpaquePointer) -> Int32 {
        guard case .receiving(let pending) = state else { return 0 }
        guard pending.decoder == nil else { return -1 }
        return handle(pending.head, body: pending.body, socket)
    }

    private func handle(_ head: HTTPRequest, body: [UInt8], _ socket: OpaquePointer) -> Int32 {
        setDeadline(after: nil)
        // Nothing is read until the answer is sent; a hang-up is seen by the watch.
        lws_rx_flow_control(socket, 0)
        armWatch(socket, untilWritable: false)
        let request = HTTPRequest(
            method: head.method, path: head.path, query: head.query, headers: head.headers, body: body,
            remoteAddress: head.remoteAddress)
        let handler = server.http
        let loop = loop
        state = .handling(
            Task {
                let response = await handler(request)
                loop.execute { [self] in handlerDidAnswer(response) }
            })
        return 0
    }

    private func handlerDidAnswer(_ response: HTTPResponse) {
        guard case .handling = state, let socket else { return }
        if respond(response, socket) != 0 { kill() }
    }

    private func asksToClose(_ headers: HTTPHeaders) -> Bool {
        let tokens = (headers["connection"] ?? "").lowercased().split { $0 == "," || $0 == " " }
        return isOldVersion ? !tokens.contains("keep-alive") : tokens.contains("close")
    }
}

// MARK: - Answers

extension ServerConnection {
    private func respond(_ response: HTTPResponse, _ socket: OpaquePointer) -> Int32 {
        let answer = response.headers.isWellFormed && (200...999).contains(response.status)
            ? response : .text("the answer is malformed", status: 500)
        let stream = ResponseStream { [loop, weak self] in
            loop.execute { [weak self] in self?.requestWrite() }
        }
        let bodiless = isHead || answer.status == 204 || answer.status == 304
        var task: Task<Void, Never>?
        let framing: ResponseHead.Framing
        var first: [UInt8] = []
        switch answer.body {
        case .bytes(let bytes):
            framing = answer.status == 204 ? .none : .length(bytes.count)
            if !bodiless { first = bytes }
            stream.finish(failed: false)
        case .stream(let produce):
            framing = bodiless ? .none : isOldVersion ? .untilClose : .chunked
            if isOldVersion { closesAfterResponse = true }
            if bodiless {
                stream.finish(failed: false)
            } else {
                task = Self.run(produce, into: stream, isChunked: !isOldVersion)
            }
        }
        let head = ResponseHead.bytes(
            status: answer.status, headers: answer.headers, framing: framing, closes: closesAfterResponse)
        state = .responding(ResponseWriter(stream: stream, first: head + first), task)
        setDeadline(after: server.limits.keepAliveTimeout)
        requestWrite()
        return 0
    }

    private static func run(
        _ produce: @escaping @Sendable (HTTPBodyWriter) async throws -> Void, into stream: ResponseStream,
        isChunked: Bool
    ) -> Task<Void, Never> {
        Task {
            let writer = HTTPBodyWriter { bytes throws(TransportError) in
                try await stream.write(isChunked ? ResponseHead.chunk(bytes) : bytes)
            }
            do {
                try await produce(writer)
                if isChunked { try await stream.write(ResponseHead.lastChunk) }
                stream.finish(failed: false)
            } catch {
                stream.finish(failed: true)
            }
        }
    }

    /// Has ``write(_:)`` called when the socket takes more.
    private func requestWrite() {
        guard case .responding = state, let socket else { return }
        if lws_send_pipe_choked(socket) != 0 {
            waitUntilWritable(socket)
        } else {
            lws_rx_flow_control(socket, 1)
            lws_callback_on_writable(socket)
        }
    }

    private func write(_ socket: OpaquePointer) -> Int32 {
        guard case .responding(let writer, _) = state else { return 0 }
        switch writer.write(on: socket) {
        case .full:
            setDeadline(after: server.limits.keepAliveTimeout)
            waitUntilWritable(socket)
            return 0
        case .idle:
            // The producer takes its time; the peer has nothing to do meanwhile.
            setDeadline(after: nil)
            lws_rx_flow_control(socket, 0)
            armWatch(socket, untilWritable: false)
            return 0
        case .done: return responseDidEnd(socket)
        case .failed: return -1
        }
    }

    private func responseDidEnd(_ socket: OpaquePointer) -> Int32 {
        state = .waiting
        lws_rx_flow_control(socket, 1)
        setDeadline(
            after: closesAfterResponse ? server.limits.handshakeTimeout : server.limits.keepAliveTimeout)
        // Closing with a part of the request unread would make the kernel throw the answer away: the
        // library then discards the rest, within the deadline.
        if closesAfterResponse && !isBodyUnread { return -1 }
        return lws_http_transaction_completed(socket) == 0 ? 0 : -1
    }

    private func waitUntilWritable(_ socket: OpaquePointer) {
        lws_rx_flow_control(socket, 0)
        armWatch(socket, untilWritable: true)
    }

    private func armWatch(_ socket: OpaquePointer, untilWritable: Bool) {
        guard let watch = loop.context.readinessWatch(on: loop) else { return }
        let token = watchToken ?? watch.add(self)
        watchToken = token
        watch.arm(
            token, descriptor: lws_get_socket_fd(socket), for: untilWritable ? [.hungUp, .writable] : .hungUp)
    }
}

// MARK: - What libwebsockets does not see

extension ServerConnection: ReadinessObserver {
    func descriptorIsReady(_ readiness: Readiness, token: UInt64) {
        let peerIsGone = !readiness.isDisjoint(with: .hungUp)
        switch state {
        case .handling(let task) where peerIsGone:
            task.cancel()
            kill()
        case .responding where peerIsGone: kill()
        case .responding:
            guard let socket else { return }
            lws_rx_flow_control(socket, 1)
            lws_callback_on_writable(socket)
        default: break
        }
    }

    func watchDidEnd() {}
}

// MARK: - WebSocket

extension ServerConnection: WebSocketLink {
    private func confirmUpgrade(_ socket: OpaquePointer) -> Int32 {
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

    private func writeHead(_ head: [UInt8], _ socket: OpaquePointer) -> Int32 {
        var bytes = [UInt8](repeating: 0, count: OutgoingMessage.headroom) + head
        let written = bytes.withUnsafeMutableBufferPointer {
            lws_write(
                socket, $0.baseAddress! + OutgoingMessage.headroom, head.count, LWS_WRITE_HTTP_HEADERS)
        }
        return written < 0 ? -1 : 0
    }

    private func webSocketDidOpen() -> Int32 {
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

    func setReading(_ isReading: Bool) {
        if let socket { lws_rx_flow_control(socket, isReading ? 1 : 0) }
    }
}

extension ServerConnection.State {
    fileprivate var task: Task<Void, Never>? {
        switch self {
        case .handling(let task): task
        case .responding(_, let task): task
        default: nil
        }
    }
}
