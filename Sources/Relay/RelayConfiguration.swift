import EntraTokens
import Transport

/// How one relay is set up.
public struct RelayConfiguration: Sendable {
    /// Where to listen; port 0 lets the kernel pick.
    public var endpoint: Endpoint
    /// Holds the inbox; made with mode 0700. One relay at a time may use it.
    public var dataFolder: String
    /// nil listens without TLS.
    public var tls: ServerTLS?
    /// A second place to listen, for peers of another network.
    public var secure: SecureListener?
    /// Permits to listen beyond loopback without TLS (design decision 10).
    public var allowPlaintext = false
    /// Asked for registrations when ``requireRegistration`` is set.
    public var registry: ServiceURL?
    /// Whom to trust as registry.
    public var registryTLS = ClientTLS()
    /// Admits only DIDs the registry knows.
    public var requireRegistration = false
    /// The secret every client must show (AgentMesh wire §5); nil demands none.
    public var sharedToken: [UInt8]?
    /// Whose applications may connect, by their access tokens; replaces ``sharedToken``, nothing falls back to it.
    public var entra: EntraSettings?
    /// Loop threads, at least 1.
    public var threads = 2
    public var limits = RelayLimits()

    public init(endpoint: Endpoint = .tcp(host: "127.0.0.1", port: 8765), dataFolder: String) {
        self.endpoint = endpoint
        self.dataFolder = dataFolder
    }

    /// Refuses what would be insecure or cannot work.
    func validate() throws(RelayError) {
        guard tls != nil || endpoint.isLoopback || allowPlaintext else { throw .plaintext(endpoint) }
        guard !requireRegistration || registry != nil else { throw .noRegistry }
        guard threads > 0 else { throw .invalidSetting("threads", "at least 1") }
        guard entra == nil || sharedToken == nil else {
            throw .invalidSetting("the shared token", "none beside Entra tokens")
        }
        if let sharedToken, sharedToken.isEmpty { throw .invalidSetting("the shared token", "not empty") }
    }
}
