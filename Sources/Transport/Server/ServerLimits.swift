/// The bounds on what a stranger can make a connection hold or wait for.
public struct ServerLimits: Sendable, Hashable {
    /// Longest request body in bytes; above it the answer is 413.
    public var maximumBodyBytes = 1 << 20
    /// Longest WebSocket message in bytes, all fragments together; above it the socket closes with 1009.
    public var maximumMessageBytes = 1 << 20
    /// Connections open at once, over all loops; more are closed on arrival.
    public var maximumConnections = 10_000
    /// Time for TLS, request line, headers and body to arrive.
    public var handshakeTimeout: Duration = .seconds(10)
    /// Time an idle connection is kept for a next request.
    public var keepAliveTimeout: Duration = .seconds(60)
    /// Bytes waiting to be sent on one WebSocket; above it the socket closes with 1013 and drops them.
    public var maximumQueuedBytes = 8 << 20
    /// Time a WebSocket that is being closed has for writing what is queued and the close frame; then it is
    /// cut, also from a peer that reads nothing.
    public var closeTimeout: Duration = .seconds(10)
    /// Time ``Server/close()`` gives requests under way.
    public var drainTimeout: Duration = .seconds(10)

    public init() {}
}
