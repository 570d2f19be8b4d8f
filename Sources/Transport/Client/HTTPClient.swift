/// Sends requests, each on a connection of its own; safe to share between tasks.
///
/// Redirects are answers like others. An answer's body may be delimited by length, chunks (without
/// extensions and trailers) or the end of the connection.
public final class HTTPClient: Sendable {
    private static let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    private let loop: EventLoop
    private let tls: ClientTLS
    private let timeout: Duration
    private let maximumBodyBytes: Int
    private let customHeaders: [String]

    /// - Parameters:
    ///   - timeout: longest silence of the peer: until the answer begins, and between pieces of its body.
    ///   - maximumBodyBytes: longest body ``send(_:)`` takes; ``stream(_:)`` has no bound.
    ///   - customHeaders: names of answer fields beyond the common ones that the caller wants to see.
    ///     libwebsockets 4.1 has no way to list fields it does not know.
    public init(
        loop: EventLoop, tls: ClientTLS = .init(), timeout: Duration = .seconds(30),
        maximumBodyBytes: Int = 16 << 20, customHeaders: [String] = []
    ) {
        self.loop = loop
        self.tls = tls
        self.timeout = timeout
        self.maximumBodyBytes = maximumBodyBytes
        self.customHeaders = customHeaders
    }

    /// Sends a request and collects the answer.
    ///
    /// - Throws: among others ``TransportError/tooLarge(limit:)`` for a body above the bound and
    ///   ``TransportError/closed`` when the task is cancelled or the connection breaks.
    public func send(_ request: HTTPClientRequest) async throws(TransportError) -> HTTPClientResponse {
        let answer = try await stream(request)
        let body = try await answer.body.collect(limit: maximumBodyBytes)
        return HTTPClientResponse(status: answer.status, headers: answer.headers, body: body)
    }

    /// Sends a request and returns as soon as the head of the answer is there.
    public func stream(_ request: HTTPClientRequest) async throws(TransportError) -> HTTPStreamingResponse {
        guard Self.methods.contains(request.method) else {
            throw .protocolViolation("the method \(request.method) is not supported")
        }
        guard request.headers.isWellFormed else { throw .protocolViolation("malformed header field") }
        let place = try await ClientPlace.resolve(request.url)
        let exchange = HTTPExchange(
            loop: loop, place: place, request: request, tls: tls, silence: timeout,
            customHeaders: customHeaders)
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isTaken = loop.tryExecute { exchange.start(continuation) }
                if !isTaken { continuation.resume(returning: .failure(.closed)) }
            }
        } onCancel: {
            loop.execute { exchange.fail(.closed) }
        }
        return try answer.get()
    }
}
