/// The certificate a server shows, and whose client certificates it demands.
public struct ServerTLS: Sendable, Hashable {
    /// PEM file with the certificate chain, leaf first.
    public let certificateFile: String
    /// PEM file with the private key.
    public let keyFile: String
    /// PEM file of the authorities a client certificate must come from; nil demands none.
    public let clientCAFile: String?

    public init(certificateFile: String, keyFile: String, clientCAFile: String? = nil) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.clientCAFile = clientCAFile
    }
}

/// Whom a client trusts. The chain and the host name are always verified.
public struct ClientTLS: Sendable, Hashable {
    /// PEM file of trusted authorities, used instead of the system's store; nil uses that store. Read once
    /// for each ``EventLoop``.
    public var caFile: String?

    public init(caFile: String? = nil) {
        self.caFile = caFile
    }
}
