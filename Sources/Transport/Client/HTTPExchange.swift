import CWebSockets

/// One request and its answer on a connection of their own.
final class HTTPExchange: ClientConnection, @unchecked Sendable {
    typealias Answer = Result<HTTPStreamingResponse, TransportError>

    private static let pieceBytes = 48 << 10
    /// Bytes read at once from a body.
    static let readBytes = 64 << 10

    private let request: HTTPClientRequest
    private let silence: Duration
    private let customHeaders: [String]
    private var sent = 0
    private var onAnswer: CheckedContinuation<Answer, Never>?
    /// The reader holds it: when it is dropped, the exchange ends.
    private weak var pipe: BodyPipe?
    private var isChunked = false
    private var isHeldBack = false

    init(
        loop: EventLoop, place: ClientPlace, request: HTTPClientRequest, tls: ClientTLS,
        silence: Duration, customHeaders: [String]
    ) {
        self.request = request
        self.silence = silence
        self.customHeaders = customHeaders
        super.init(
            loop: loop, place: place, url: request.url, tls: tls, method: request.method,
            headers: request.headers)
    }

    /// Begins; on the loop.
    func start(_ onAnswer: CheckedContinuation<Answer, Never>) {
        guard !isOver else {
            onAnswer.resume(returning: .failure(.closed))
            return
        }
        self.onAnswer = onAnswer
        setDeadline(after: silence)
        connect()
    }

    override var bodyBytes: Int? {
        request.body.isEmpty && !["POST", "PUT", "PATCH"].contains(request.method)
            ? nil : request.body.count
    }

    override func didFail(_ error: TransportError) {
        onAnswer.take()?.resume(returning: .failure(error))
        pipe?.finish(.failure(error))
    }

    override func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 {
        switch reason {
        case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE: return writeBody(socket)
        case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP: return answerDidArrive(socket)
        case LWS_CALLBACK_RECEIVE_CLIENT_HTTP:
            return loop.context.bodyBuffer.read(from: socket)
        case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
            // The library counts chunk sizes in 32 bits with a sign.
            guard let bytes, (1...Self.readBytes).contains(count) else { return -1 }
            return bodyDidArrive(UnsafeRawBufferPointer(start: bytes, count: count), socket)
        case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
            // At the end of a connection the library calls a body complete whose last chunk is missing.
            if isChunked && loop.context.bodyBuffer.isUntouched { return -1 }
            complete()
            return -1
        default:
            return super.handle(reason, socket, bytes, count)
        }
    }

    private func writeBody(_ socket: OpaquePointer) -> Int32 {
        guard sent < request.body.count else { return 0 }
        if lws_partial_buffered(socket) == 0, lws_send_pipe_choked(socket) == 0 {
            let count = min(Self.pieceBytes, request.body.count - sent)
            let headroom = OutgoingMessage.headroom
            let isLast = sent + count == request.body.count
            let written = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: headroom + count) { buffer in
                let payload = buffer.baseAddress! + headroom
                request.body.withUnsafeBufferPointer {
                    payload.initialize(from: $0.baseAddress! + sent, count: count)
                }
                return lws_write(socket, payload, count, isLast ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP)
            }
            guard written >= 0 else { return -1 }
            sent += count
            setDeadline(after: silence)
            if isLast {
                lws_client_http_body_pending(socket, 0)
                return 0
            }
        }
        lws_callback_on_writable(socket)
        return 0
    }

    private func answerDidArrive(_ socket: OpaquePointer) -> Int32 {
        let status = Int(lws_http_client_http_response(socket))
        guard (200...999).contains(status) else {
            fail(.protocolViolation("\(place.description) answered with status \(status)"))
            return -1
        }
        setDeadline(after: silence)
        let headers = ParsedHead.headers(of: socket, custom: customHeaders)
        let pipe = BodyPipe(
            onResume: { [weak self] in self?.onLoop { $0.resumeReading() } },
            onAbandon: { [weak self] in self?.onLoop { $0.fail(.closed) } })
        self.pipe = pipe
        isChunked = headers["transfer-encoding"] != nil
        onAnswer.take()?.resume(
            returning: .success(
                HTTPStreamingResponse(status: status, headers: headers, body: HTTPBodyReader(pipe: pipe))))
        // The library would wait for the body such an answer only describes.
        if request.method == "HEAD" || status == 204 || status == 304 {
            complete()
            return -1
        }
        return 0
    }

    private func bodyDidArrive(_ bytes: UnsafeRawBufferPointer, _ socket: OpaquePointer) -> Int32 {
        guard let pipe, !isOver else { return -1 }
        if pipe.push(Array(bytes)) {
            setDeadline(after: silence)
        } else {
            isHeldBack = true
            setDeadline(after: nil)
            lws_rx_flow_control(socket, 0)
        }
        return 0
    }

    private func resumeReading() {
        guard isHeldBack, let socket else { return }
        isHeldBack = false
        setDeadline(after: silence)
        lws_rx_flow_control(socket, 1)
    }

    private func complete() {
        guard !isOver else { return }
        markOver()
        pipe?.finish(.success(()))
    }

    private func onLoop(_ body: @escaping @Sendable (HTTPExchange) -> Void) {
        loop.execute { [self] in body(self) }
    }
}
