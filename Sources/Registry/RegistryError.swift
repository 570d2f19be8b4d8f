import Transport

/// Why a registry did not start.
public enum RegistryError: Error, Sendable, CustomStringConvertible {
    /// Anybody on the network could read and change what agents send.
    case plaintextBeyondLoopback(Endpoint)
    /// A setting that cannot be followed.
    case badSetting(String)
    /// It runs already, or was stopped.
    case cannotStart(String)

    public var description: String {
        switch self {
        case .plaintextBeyondLoopback(let endpoint):
            "the registry does not listen on \(endpoint) without TLS; "
                + "give --tls-cert and --tls-key, or allow it with --allow-plaintext"
        case .badSetting(let reason): "the registry's settings are refused: \(reason)"
        case .cannotStart(let reason): "the registry cannot start: \(reason)"
        }
    }
}
