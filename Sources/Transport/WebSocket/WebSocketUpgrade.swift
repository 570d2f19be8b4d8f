/// The handshake of a WebSocket a server may accept.
public struct WebSocketUpgrade: Sendable {
    /// The percent-encoded path without query.
    public let path: String
    /// What stood after "?", undecoded.
    public let query: String?
    public let headers: HTTPHeaders
    /// The peer's address; "unix" on a Unix socket.
    public let remoteAddress: String

    public init(
        path: String, query: String? = nil, headers: HTTPHeaders = [:],
        remoteAddress: String = "127.0.0.1"
    ) {
        self.path = path
        self.query = query
        self.headers = headers
        self.remoteAddress = remoteAddress
    }

    /// The first value of a query parameter, decoded; nil when absent or not UTF-8.
    public func queryValue(_ name: String) -> String? {
        query.flatMap { QueryText.value(of: name, in: $0) }
    }
}

/// Chooses who serves a socket; runs on the loop and must not block; nil answers 404.
public typealias WebSocketAcceptor = @Sendable (WebSocketUpgrade) -> (any WebSocketDelegate)?
