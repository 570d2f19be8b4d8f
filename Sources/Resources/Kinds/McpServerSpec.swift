/// A server of tools that sandboxes may reach (resources §6).
public struct McpServerSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.mcpServers

    public enum ProofKey: String, ClosedChoice {
        case sha256 = "S256"
    }

    public struct OAuth: Codable, Sendable, Equatable {
        public var issuer: String
        public var audience: String?
        public var resource: String?
        /// RFC 7636.
        public var pkce: ProofKey?
    }

    public struct Sandboxes: Codable, Sendable, Equatable {
        public var matchLabels: [String: String]?
    }

    public var url: String?
    /// Asks for https and OAuth.
    public var productionMode: Bool?
    public var oauth: OAuth?
    public var scopes: [String]?
    /// `*` for all; a server without any is left out.
    public var allowedTools: [String]?
    public var allowedSandboxes: Sandboxes?
    /// A variable of the router whose value is sent as a bearer token.
    public var bearerFromEnv: String?
    public var displayName: String?
    public var bundleRef: ArtifactReference?

    public func check(_ found: inout SpecProblems) {
        found.text(url, "spec.url", .webAddress)
        if bundleRef == nil {
            found.expect(url != nil, "spec.url", "is missing")
            if productionMode == true {
                found.expect(url?.hasPrefix("https://") ?? true, "spec.url", "must begin with https:// in production mode")
                found.expect(oauth?.issuer.isEmpty == false, "spec.oauth.issuer", "is needed in production mode")
            }
        }
        found.alone(
            bundleRef,
            beside: [
                ("url", url != nil), ("oauth", oauth != nil), ("productionMode", productionMode != nil),
                ("scopes", scopes != nil), ("allowedTools", allowedTools != nil), ("displayName", displayName != nil),
            ])
    }
}
