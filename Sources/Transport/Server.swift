/// Listens once and serves HTTP and WebSocket on one or several loops.
public final class Server: Sendable {
    /// Where it listens, with the port the kernel picked.
    public let endpoint: Endpoint

    public init(
        loops: [EventLoop], endpoint: Endpoint, tls: ServerTLS? = nil, limits: ServerLimits = .init(),
        customHeaders: [String] = [], http: @escaping HTTPHandler, webSocket: WebSocketAcceptor? = nil
    ) async throws(TransportError) {
        self.endpoint = endpoint
        throw .cannotListen("\(endpoint)", "not in this commit")
    }

    /// Takes no new connections; open ones go on.
    public func stopAccepting() async {}

    /// Finishes requests under way, within ``ServerLimits/drainTimeout``, then closes everything.
    public func close() async {}
}
