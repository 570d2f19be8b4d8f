import Transport

/// Which cluster is called, and as whom.
public struct KubernetesConfiguration: Sendable {
    /// The API server; a path before `/api` is kept.
    public var server: ServiceURL
    /// The namespace of requests that name none.
    public var namespace: String
    /// The context of the kubeconfig this came from; "in-cluster" inside a pod.
    public var context: String
    /// Whom to trust; its identity is used when the credentials bring none.
    public var tls: ClientTLS
    /// Fields of every request besides the credentials, such as for impersonation.
    var headers: HTTPHeaders
    let source: CredentialSource

    /// A cluster known without a kubeconfig.
    ///
    /// - Parameter token: a bearer token; nil asks without one.
    public init(server: ServiceURL, namespace: String = "default", tls: ClientTLS = .init(), token: String? = nil) {
        self.init(
            server: server, namespace: namespace, context: "", tls: tls,
            source: token.map(CredentialSource.token) ?? .none)
    }

    init(
        server: ServiceURL, namespace: String, context: String, tls: ClientTLS, headers: HTTPHeaders = [:],
        source: CredentialSource
    ) {
        self.server = server
        self.namespace = namespace
        self.context = context
        self.tls = tls
        self.headers = headers
        self.source = source
    }

    /// The address in messages: without path.
    var display: String { "\(server.scheme.rawValue)://\(server.place)" }
}

extension KubernetesConfiguration: CustomStringConvertible {
    /// Context and server; no credential.
    public var description: String { context.isEmpty ? display : "\(context) at \(display)" }
}
