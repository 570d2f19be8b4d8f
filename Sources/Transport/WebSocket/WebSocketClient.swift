/// Opens WebSockets to servers.
public enum WebSocketClient {
    public static func connect(
        to url: ServiceURL, on loop: EventLoop, tls: ClientTLS = .init(), headers: HTTPHeaders = [:],
        limits: ServerLimits = .init(), timeout: Duration = .seconds(30),
        delegate: any WebSocketDelegate
    ) async throws(TransportError) -> WebSocket {
        throw .cannotConnect("\(url)", "not in this commit")
    }
}
