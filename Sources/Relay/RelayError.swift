import Transport

/// Why a relay does not start.
public enum RelayError: Error, Sendable, CustomStringConvertible {
    /// It would listen beyond this machine without TLS.
    case plaintext(Endpoint)
    /// Registrations are required and there is no registry to ask.
    case noRegistry
    /// A setting out of range: its name, what it must be.
    case invalidSetting(String, String)
    /// It was started before.
    case alreadyStarted

    public var description: String {
        switch self {
        case .plaintext(let endpoint):
            "refusing to listen on \(endpoint) without TLS: give --tls-cert and --tls-key, or --allow-plaintext"
        case .noRegistry: "--require-registration needs --registry"
        case .invalidSetting(let name, let rule): "\(name) must be \(rule)"
        case .alreadyStarted: "the relay was started before"
        }
    }
}
