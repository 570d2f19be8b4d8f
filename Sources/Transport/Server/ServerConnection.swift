import CWebSockets
import Glibc

/// One accepted connection: requests in turn, or a WebSocket after an upgrade.
///
///     waiting → receiving → handling → responding → waiting …
///         └→ webSocket
final class ServerConnection: Connection, @unchecked Sendable {
    enum State {
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
    struct PendingRequest {
        let head: HTTPRequest
        var body: [UInt8] = []
        var decoder: ChunkedDecoder?
    }

    let server: Server.Core
    let remoteAddress: String
    var state = State.waiting
    var upgrade: (any WebSocketDelegate)?
    var isHead = false
    var isOldVersion = false
    var closesAfterResponse = false
    /// Whether the answer was given before the request was read to its end.
    var isBodyUnread = false
    var isDraining = false
    var watchToken: UInt64?

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
        case LWS_CALLBACK_RECEIVE_PONG:
            if case .webSocket(let channel) = state { channel.didReceivePong() }
            return 0
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

extension ServerConnection.State {
    var task: Task<Void, Never>? {
        switch self {
        case .handling(let task): task
        case .responding(_, let task): task
        default: nil
        }
    }
}
