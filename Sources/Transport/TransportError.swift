/// What can go wrong between this process and another one.
///
/// A description is one sentence in lower case and never holds a header, a body or a key.
public enum TransportError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The text is no address or URL of a known form.
    case invalidAddress(String)
    /// The place to listen on could not be taken: place and cause.
    case cannotListen(String, String)
    /// Nobody could be reached: place and cause.
    case cannotConnect(String, String)
    /// A certificate or TLS setting was refused: cause.
    case tls(String)
    /// It took longer than allowed: what was tried.
    case timedOut(String)
    /// The connection, or what it belongs to, is closed.
    case closed
    /// More bytes than the stated limit.
    case tooLarge(limit: Int)
    /// The other side, or the caller, did something the protocol forbids.
    case protocolViolation(String)
    /// A WebSocket server answered the handshake with this HTTP status.
    case refused(status: Int)
    /// The machine has no resource left: what was missing.
    case outOfResources(String)

    public var description: String {
        switch self {
        case .invalidAddress(let text): "\(text) is not a valid address"
        case .cannotListen(let place, let cause): "cannot listen on \(place): \(cause)"
        case .cannotConnect(let place, let cause): "cannot connect to \(place): \(cause)"
        case .tls(let cause): "tls failed: \(cause)"
        case .timedOut(let what): "\(what) took too long"
        case .closed: "the connection is closed"
        case .tooLarge(let limit): "more than the limit of \(limit) bytes"
        case .protocolViolation(let what): "protocol violation: \(what)"
        case .refused(let status): "the handshake was answered with status \(status)"
        case .outOfResources(let what): "out of resources: \(what)"
        }
    }
}
