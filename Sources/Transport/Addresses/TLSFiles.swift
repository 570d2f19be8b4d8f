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

/// Whom a client trusts and as whom it comes. The chain and the host name are always verified.
public struct ClientTLS: Sendable, Hashable {
    /// PEM file of trusted authorities, used instead of the system's store; nil uses that store. Read once
    /// for each ``EventLoop``.
    public var caFile: String?
    /// Trusted authorities in PEM, used instead of the system's store and besides ``caFile``.
    public var authorities: [UInt8]?
    /// The certificate shown to a server that asks for one; nil shows none.
    public var identity: ClientIdentity?
    /// The name the server's certificate must hold, also announced to it; nil means the host of the URL.
    public var serverName: String?

    public init(
        caFile: String? = nil, authorities: [UInt8]? = nil, identity: ClientIdentity? = nil, serverName: String? = nil
    ) {
        self.caFile = caFile
        self.authorities = authorities
        self.identity = identity
        self.serverName = serverName
    }
}
