/// Sends requests; safe to share.
public final class HTTPClient: Sendable {
    let loop: EventLoop
    let tls: ClientTLS
    let timeout: Duration
    let maximumBodyBytes: Int

    public init(
        loop: EventLoop, tls: ClientTLS = .init(), timeout: Duration = .seconds(30),
        maximumBodyBytes: Int = 16 << 20
    ) {
        self.loop = loop
        self.tls = tls
        self.timeout = timeout
        self.maximumBodyBytes = maximumBodyBytes
    }

    public func send(_ request: HTTPClientRequest) async throws(TransportError) -> HTTPClientResponse {
        throw .cannotConnect("\(request.url)", "not in this commit")
    }

    public func stream(_ request: HTTPClientRequest) async throws(TransportError) -> HTTPStreamingResponse {
        throw .cannotConnect("\(request.url)", "not in this commit")
    }
}
