/// Why the relay closes a connection; the raw value is the metric's label.
enum CloseReason: String, CaseIterable, Sendable {
    case notConnect = "not_connect"
    case handshakeTimeout = "handshake_timeout"
    case connectTooLong = "connect_too_long"
    case strangerTooLoud = "stranger_too_loud"
    case tooManyFromPeer = "too_many_from_peer"
    case overloaded
    case fromMissing = "from_missing"
    case unauthorized
    case notRegistered = "not_registered"
    case registryUnavailable = "registry_unavailable"
    case issuerUnavailable = "issuer_unavailable"
    case idle
    case proofFailed = "proof_failed"
    case replaced
    case disconnect
    case tooManyFaults = "too_many_faults"
    case stalled
    case restarting

    /// The code in the closing handshake (AgentMesh wire §5; below 4000 RFC 6455 and its registry).
    var code: Int {
        switch self {
        case .notConnect, .handshakeTimeout: 4001
        case .connectTooLong: 1009
        case .fromMissing: 4002
        case .unauthorized, .notRegistered: 4003
        case .idle: 4004
        case .proofFailed: 4005
        case .replaced: 4006
        case .disconnect: 1000
        case .tooManyFaults, .strangerTooLoud: 1008
        case .stalled, .registryUnavailable, .issuerUnavailable, .tooManyFromPeer, .overloaded: 1013
        case .restarting: 1012
        }
    }

    /// Whether the relay could not serve a client that may have done nothing wrong.
    var isOurs: Bool {
        switch self {
        case .overloaded, .registryUnavailable, .issuerUnavailable, .restarting: true
        default: false
        }
    }

    /// The text in the closing handshake.
    var text: String { self == .replaced ? "session_replaced" : rawValue }
}
