/// Opens WebSockets to servers.
public enum WebSocketClient {
    /// Connects and shakes hands.
    ///
    /// The delegate hears ``WebSocketDelegate/webSocketDidOpen(_:)`` before this returns.
    /// - Parameters:
    ///   - headers: sent with the handshake besides what the protocol needs.
    ///   - subprotocols: names offered (RFC 6455 §1.9); a server that takes none, or another one, fails the handshake or
    ///     says nothing.
    ///   - limits: of these, the bounds of messages and queue count.
    ///   - timeout: longest time for all of it.
    /// - Throws: ``TransportError/refused(status:)`` when the server answers with another status than 101;
    ///   ``TransportError/closed`` when the task is cancelled.
    public static func connect(
        to url: ServiceURL, on loop: EventLoop, tls: ClientTLS = .init(), headers: HTTPHeaders = [:],
        subprotocols: [String] = [], limits: ServerLimits = .init(), timeout: Duration = .seconds(30),
        delegate: any WebSocketDelegate
    ) async throws(TransportError) -> WebSocket {
        guard headers.isWellFormed, subprotocols.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(HTTPHeaders.isTokenByte) })
        else { throw .protocolViolation("malformed header field") }
        let place = try await ClientPlace.resolve(url)
        let dial = WebSocketDial(
            loop: loop, place: place, url: url, tls: tls, headers: headers, subprotocols: subprotocols,
            limits: limits, timeout: timeout, delegate: delegate)
        let answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isTaken = loop.tryExecute { dial.start(continuation) }
                if !isTaken { continuation.resume(returning: .failure(.closed)) }
            }
        } onCancel: {
            loop.execute { dial.fail(.closed) }
        }
        return try answer.get()
    }
}
