/// A place to listen for TLS, beside another one that has none.
public struct SecureListener: Sendable, Equatable {
    /// Port 0 lets the kernel pick.
    public var endpoint: Endpoint
    public var tls: ServerTLS

    public init(endpoint: Endpoint, tls: ServerTLS) {
        self.endpoint = endpoint
        self.tls = tls
    }
}
