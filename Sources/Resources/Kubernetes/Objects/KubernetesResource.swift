/// One kind of object an API server keeps, and where its requests go.
public struct KubernetesResource: Sendable, Hashable {
    /// The API group; empty for the core group.
    public let group: String
    public let version: String
    /// The name in paths, such as "pods".
    public let plural: String
    public let kind: String
    public let isNamespaced: Bool

    public init(group: String, version: String, plural: String, kind: String, isNamespaced: Bool = true) {
        self.group = group
        self.version = version
        self.plural = plural
        self.kind = kind
        self.isNamespaced = isNamespaced
    }

    /// "v1" or "apps/v1".
    public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }

    /// The full name, such as "deployments.apps".
    public var name: String { group.isEmpty ? plural : "\(plural).\(group)" }
}

extension KubernetesResource: CustomStringConvertible {
    public var description: String { name }
}

// MARK: - Core

extension KubernetesResource {
    public static let namespaces = core("namespaces", "Namespace", isNamespaced: false)
    public static let nodes = core("nodes", "Node", isNamespaced: false)
    public static let pods = core("pods", "Pod")
    public static let services = core("services", "Service")
    public static let serviceAccounts = core("serviceaccounts", "ServiceAccount")
    public static let secrets = core("secrets", "Secret")
    public static let configMaps = core("configmaps", "ConfigMap")
    public static let persistentVolumeClaims = core("persistentvolumeclaims", "PersistentVolumeClaim")
    public static let events = core("events", "Event")

    private static func core(_ plural: String, _ kind: String, isNamespaced: Bool = true) -> KubernetesResource {
        KubernetesResource(group: "", version: "v1", plural: plural, kind: kind, isNamespaced: isNamespaced)
    }
}

// MARK: - Groups of Kubernetes itself

extension KubernetesResource {
    public static let deployments = KubernetesResource(
        group: "apps", version: "v1", plural: "deployments", kind: "Deployment")
    public static let replicaSets = KubernetesResource(
        group: "apps", version: "v1", plural: "replicasets", kind: "ReplicaSet")
    public static let jobs = KubernetesResource(group: "batch", version: "v1", plural: "jobs", kind: "Job")
    public static let networkPolicies = KubernetesResource(
        group: "networking.k8s.io", version: "v1", plural: "networkpolicies", kind: "NetworkPolicy")
    public static let ingresses = KubernetesResource(
        group: "networking.k8s.io", version: "v1", plural: "ingresses", kind: "Ingress")
    public static let leases = KubernetesResource(
        group: "coordination.k8s.io", version: "v1", plural: "leases", kind: "Lease")
    public static let customResourceDefinitions = KubernetesResource(
        group: "apiextensions.k8s.io", version: "v1", plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition", isNamespaced: false)

    public static let roles = rbac("roles", "Role")
    public static let roleBindings = rbac("rolebindings", "RoleBinding")
    public static let clusterRoles = rbac("clusterroles", "ClusterRole", isNamespaced: false)
    public static let clusterRoleBindings = rbac("clusterrolebindings", "ClusterRoleBinding", isNamespaced: false)

    private static func rbac(_ plural: String, _ kind: String, isNamespaced: Bool = true) -> KubernetesResource {
        KubernetesResource(
            group: "rbac.authorization.k8s.io", version: "v1", plural: plural, kind: kind, isNamespaced: isNamespaced)
    }
}

// MARK: - kars.azure.com/v1alpha1

extension KubernetesResource {
    public static let karsSandboxes = kars("karssandboxes", "KarsSandbox")
    public static let inferencePolicies = kars("inferencepolicies", "InferencePolicy")
    public static let toolPolicies = kars("toolpolicies", "ToolPolicy")
    public static let mcpServers = kars("mcpservers", "McpServer")
    public static let a2aAgents = kars("a2aagents", "A2AAgent")
    public static let karsMemories = kars("karsmemories", "KarsMemory")
    public static let karsEvals = kars("karsevals", "KarsEval")
    public static let egressApprovals = kars("egressapprovals", "EgressApproval")
    public static let karsPairings = kars("karspairings", "KarsPairing")
    public static let trustGraphs = kars("trustgraphs", "TrustGraph", isNamespaced: false)
    public static let karsAuthConfigs = kars("karsauthconfigs", "KarsAuthConfig", isNamespaced: false)
    public static let karsSREActions = kars("karssreactions", "KarsSREAction")

    /// Every kind of the group.
    public static let allKars: [KubernetesResource] = [
        karsSandboxes, inferencePolicies, toolPolicies, mcpServers, a2aAgents, karsMemories, karsEvals, egressApprovals,
        karsPairings, trustGraphs, karsAuthConfigs, karsSREActions,
    ]

    private static func kars(_ plural: String, _ kind: String, isNamespaced: Bool = true) -> KubernetesResource {
        KubernetesResource(
            group: "kars.azure.com", version: "v1alpha1", plural: plural, kind: kind, isNamespaced: isNamespaced)
    }
}
