/// An agent in a sandbox (resources §3).
public struct KarsSandboxSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.karsSandboxes

    public enum Isolation: String, ClosedChoice {
        case standard, enhanced, confidential
    }

    /// How the agent is confined.
    public struct Confinement: Codable, Sendable, Equatable {
        /// `enhanced` where there is none.
        public var isolation: Isolation?
        public var seccompProfile: String?
        public var selinuxContext: String?
        public var readOnlyRootFilesystem: Bool?
        public var runAsNonRoot: Bool?
        public var allowPrivilegeEscalation: Bool?
        public var writablePaths: [String]?
    }

    /// The agent of a model service; not for images of one's own.
    public struct Agent: Codable, Sendable, Equatable {
        public var instructions: String?
        public var tools: [String]?
        public var fileIds: [String]?
    }

    public enum RegistryMode: String, ClosedChoice {
        case local, global
    }

    /// What the agent may do.
    public struct Governance: Codable, Sendable, Equatable {
        /// True where there is none.
        public var enabled: Bool?
        public var toolPolicyRef: OptionalReference?
        /// 0 to 1000.
        public var trustThreshold: Int64?
        /// `name:AMID`, separated by commas.
        public var trustedPeers: String?
        public var registryMode: RegistryMode?
        /// In place of ``mcpServerRefs``, of earlier versions.
        public var mcpServerRef: OptionalReference?
        public var mcpServerRefs: [NameReference]?
    }

    public struct AzureService: Codable, Sendable, Equatable {
        public var service: String
        public var account: String?
        public var permissions: [String]?
    }

    public enum EgressMode: String, ClosedChoice {
        case strict = "Strict"
        case learn = "Learn"
    }

    public struct Endpoint: Codable, Sendable, Equatable {
        public var host: String
        /// 443 where there is none.
        public var port: Int64?
    }

    /// What the agent may reach.
    public struct Network: Codable, Sendable, Equatable {
        public var defaultDeny: Bool?
        public var egressMode: EgressMode?
        public var allowedEndpoints: [Endpoint]?
        public var allowlistRef: ArtifactReference?
    }

    /// Quantities by name, as Kubernetes writes them.
    public struct Resources: Codable, Sendable, Equatable {
        public var requests: [String: NumberOrText]?
        public var limits: [String: NumberOrText]?
    }

    public enum UpstreamMode: String, ClosedChoice {
        case off, observe, translate, overlay
    }

    public struct UpstreamReference: Codable, Sendable, Equatable {
        public var name: String
    }

    /// Living beside objects of other projects.
    public struct UpstreamCompatibility: Codable, Sendable, Equatable {
        public var sigsAgentSandbox: UpstreamMode?
        public var upstreamSandboxRef: UpstreamReference?
        public var aiConformanceReference: Bool?
    }

    public enum MeshAuthMode: String, ClosedChoice {
        case auto
        case agentID = "agent-id"
        case anonymous
    }

    public struct MeshAuth: Codable, Sendable, Equatable {
        public var mode: MeshAuthMode?
        /// Objects by set.
        public var customSecurityAttributes: [String: JSONValue]?
    }

    public var runtime: SandboxRuntime
    public var sandbox: Confinement?
    public var inferenceRef: NameReference
    public var memoryRef: NameReference?
    public var agent: Agent?
    public var governance: Governance?
    public var azureServices: [AzureService]?
    public var networkPolicy: Network?
    public var resources: Resources?
    public var suspended: Bool?
    public var a2a: SandboxA2A?
    public var upstreamCompatibility: UpstreamCompatibility?
    public var meshAuth: MeshAuth?

    public func check(_ found: inout SpecProblems) {
        runtime.check(&found)
        found.expect(runtime.kind != .byo || agent == nil, "spec.agent", "is not for the runtime BYO")
        inferenceRef.check(&found, at: "spec.inferenceRef")
        memoryRef?.check(&found, at: "spec.memoryRef")
        if let governance { check(governance, &found) }
        for (index, endpoint) in (networkPolicy?.allowedEndpoints ?? []).enumerated() {
            let path = "spec.networkPolicy.allowedEndpoints[\(index)]"
            found.text(endpoint.host, "\(path).host", .length(1...253))
            found.number(endpoint.port, "\(path).port", 1...65535)
        }
        networkPolicy?.allowlistRef?.check(&found, at: "spec.networkPolicy.allowlistRef")
        for (kind, quantities) in [("requests", resources?.requests), ("limits", resources?.limits)] {
            for (name, quantity) in (quantities ?? [:]).sorted(by: { $0.key < $1.key }) {
                found.text(quantity.text, "spec.resources.\(kind).\(name)", .quantity)
            }
        }
        a2a?.check(&found)
        found.expect(
            upstreamCompatibility?.sigsAgentSandbox != .overlay || upstreamCompatibility?.upstreamSandboxRef != nil,
            "spec.upstreamCompatibility.upstreamSandboxRef", "is needed for overlay")
        found.text(
            upstreamCompatibility?.upstreamSandboxRef?.name, "spec.upstreamCompatibility.upstreamSandboxRef.name", .filled)
    }

    private func check(_ governance: Governance, _ found: inout SpecProblems) {
        let path = "spec.governance"
        governance.toolPolicyRef?.check(&found, at: "\(path).toolPolicyRef")
        governance.mcpServerRef?.check(&found, at: "\(path).mcpServerRef")
        found.number(governance.trustThreshold, "\(path).trustThreshold", 0...1000)
        let servers = governance.mcpServerRefs ?? []
        found.expect(
            governance.mcpServerRef == nil || servers.isEmpty, "\(path).mcpServerRef", "must not stand beside mcpServerRefs")
        found.expect(servers.count <= 8, "\(path).mcpServerRefs", "must name at most 8 servers, not \(servers.count)")
        for (index, server) in servers.enumerated() { server.check(&found, at: "\(path).mcpServerRefs[\(index)]") }
        found.unique(servers.map(\.name)) { "\(path).mcpServerRefs[\($0)].name" }
    }
}
