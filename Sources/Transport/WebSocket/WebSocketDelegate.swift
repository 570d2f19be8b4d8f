/// What a WebSocket tells its owner; every call comes on the socket's loop thread.
public protocol WebSocketDelegate: AnyObject, Sendable {
    /// The handshake is done; the socket may be written to.
    func webSocketDidOpen(_ socket: WebSocket)
    /// A whole message; the bytes are valid only during the call.
    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool)
    /// The send queue became empty.
    func webSocketDidDrain(_ socket: WebSocket)
    /// The answer to a ``WebSocket/ping()``.
    func webSocketDidReceivePong(_ socket: WebSocket)
    /// The end, told exactly once after an opening: the peer's code, or 1006 when the connection broke.
    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String)
}

extension WebSocketDelegate {
    /// Does nothing.
    public func webSocketDidDrain(_ socket: WebSocket) {}
    /// Does nothing.
    public func webSocketDidReceivePong(_ socket: WebSocket) {}
}
