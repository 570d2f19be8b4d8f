import EntraTokens
import Transport

/// How a registry runs.
public struct RegistryConfiguration: Sendable {
    /// Where it listens; port 0 lets the kernel pick.
    public var endpoint: Endpoint
    /// Folder of the database; created with mode 0700.
    public var dataFolder: String
    /// Needed to listen beyond loopback, unless ``allowPlaintext``.
    public var tls: ServerTLS?
    /// A second place to listen, for peers of another network.
    public var secure: SecureListener?
    /// Allows a listener beyond loopback without TLS, for registries behind a proxy that speaks it.
    public var allowPlaintext: Bool
    /// Loop threads.
    public var threads: Int
    /// Bounds on what strangers send.
    public var limits: RegistryLimits
    /// What it asks of callers.
    public var policy: RegistryPolicy
    /// Lets agents become `verified`; nil answers 503 to whoever tries.
    public var entra: EntraSettings?
    /// Where people may sign in; nil offers no provider.
    public var oauth: OAuthSettings?

    /// One loop on loopback port 8080, without TLS, unless told otherwise.
    public init(
        endpoint: Endpoint = .tcp(host: "127.0.0.1", port: 8080), dataFolder: String, tls: ServerTLS? = nil,
        allowPlaintext: Bool = false, threads: Int = 1, limits: RegistryLimits = RegistryLimits(),
        policy: RegistryPolicy = RegistryPolicy(),
        entra: EntraSettings? = nil, oauth: OAuthSettings? = nil
    ) {
        self.endpoint = endpoint
        self.dataFolder = dataFolder
        self.tls = tls
        self.allowPlaintext = allowPlaintext
        self.threads = threads
        self.limits = limits
        self.policy = policy
        self.entra = entra
        self.oauth = oauth
    }

    /// - Throws: ``RegistryError/plaintextBeyondLoopback(_:)``.
    func validate() throws(RegistryError) {
        guard endpoint.isLoopback || tls != nil || allowPlaintext else { throw .plaintextBeyondLoopback(endpoint) }
    }
}
