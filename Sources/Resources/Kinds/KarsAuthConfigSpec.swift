/// The identity provider of a cluster's agents (resources §13).
public struct KarsAuthConfigSpec: CustomResourceSpec {
    public static let resource = KubernetesResource.karsAuthConfigs

    public struct Tenant: Codable, Sendable, Equatable {
        public var tenantId: String
        public var authorityHost: String?
        public var serviceManagementReference: String?
    }

    public struct AgentIdentity: Codable, Sendable, Equatable {
        public var blueprintClientId: String
        public var blueprintObjectId: String
        public var sponsorUserObjectIds: [String]?
    }

    public enum CredentialMode: String, ClosedChoice {
        case managedIdentity = "ManagedIdentityImds"
        case workloadIdentity = "WorkloadIdentity"
    }

    public struct ControllerIdentity: Codable, Sendable, Equatable {
        /// `ManagedIdentityImds` where there is none.
        public var credentialMode: CredentialMode?
        public var managedIdentityClientId: String?
        public var managedIdentityResourceId: String?
        public var managedIdentityPrincipalId: String?
    }

    public struct DownstreamAPI: Codable, Sendable, Equatable {
        public var baseUrl: String?
        public var scopes: [String]?
        public var requestAppToken: Bool?
    }

    public struct RoleAssignment: Codable, Sendable, Equatable {
        public var scope: String
        public var roleDefinitionIds: [String]
    }

    public enum MeshBackend: String, ClosedChoice {
        case anonymous = "Anonymous"
        case entraAgentIdentity = "EntraAgentIdentity"
    }

    public var tenant: Tenant
    public var agentId: AgentIdentity
    public var controller: ControllerIdentity
    public var downstreamApis: [String: DownstreamAPI]?
    public var foundryRbac: [RoleAssignment]?
    public var meshAuthBackend: MeshBackend?
    public var meshAuthAudience: String?

    public func check(_ found: inout SpecProblems) {
        let identity = controller
        found.expect(
            identity.credentialMode == .workloadIdentity
                || (identity.managedIdentityClientId != nil && identity.managedIdentityResourceId != nil), "spec.controller",
            "needs managedIdentityClientId and managedIdentityResourceId, unless its credentialMode is WorkloadIdentity")
    }
}
