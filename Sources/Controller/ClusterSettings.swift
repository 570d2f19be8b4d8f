import FoundationEssentials
import MeshIdentity
import Resources

/// How a controller makes the pods of a cluster; each property is an option of `kars node --driver kubernetes`.
public struct ClusterSettings: Sendable {
    /// Where the state of a sandbox lies: its workspace, and the identity and store of its node.
    public enum Storage: Sendable, Equatable {
        /// A claim in the sandbox's namespace, which goes with it.
        case claim(storageClass: String?, size: String)
        /// A folder of the machine that the pod runs on, for clusters without storage classes; it stays when the
        /// sandbox goes.
        case hostPath(String)
    }

    /// What other peers call this cluster.
    public var name: String
    /// Holds the controller, and the KarsSandbox objects it looks after.
    public var namespace: String
    /// Of kars itself: the node beside each agent, and the reference agent.
    public var image: String
    public var storage: Storage
    /// Relay and registry as the pods reach them.
    public var relay: String
    public var registry: String
    /// PEM of the authorities to trust as relay and registry; nil for the image's own.
    public var authorities: String?
    /// The shared secret of the relay.
    public var relayToken: String?
    /// Value of the node label `kars.azure.com/pool` that pods ask for; nil lets them run anywhere.
    public var nodePool: String?
    /// Whether pods confine their agent's network by rules of their own (`egress-guard`), beside the NetworkPolicy.
    public var guardsEgress: Bool
    /// Whether a pod tells other peers its own address, for moves that do not need the relay.
    public var advertisesPods: Bool
    /// Sandboxes that one peer may have here at once.
    public var sandboxesPerPeer: Int
    /// Whether the controller deals with peers elsewhere; else only with the nodes of its own pods.
    public var federates: Bool

    public init(
        name: String, namespace: String = "kars-system", image: String = "kars:dev",
        storage: Storage = .claim(storageClass: nil, size: "10Gi"), relay: String, registry: String,
        authorities: String? = nil, relayToken: String? = nil, nodePool: String? = nil, guardsEgress: Bool = true,
        advertisesPods: Bool = false, sandboxesPerPeer: Int = 64, federates: Bool = true
    ) {
        self.name = name
        self.namespace = namespace
        self.image = image
        self.storage = storage
        self.relay = relay
        self.registry = registry
        self.authorities = authorities
        self.relayToken = relayToken
        self.nodePool = nodePool
        self.guardsEgress = guardsEgress
        self.advertisesPods = advertisesPods
        self.sandboxesPerPeer = sandboxesPerPeer
        self.federates = federates
    }
}

extension ClusterSettings {
    /// Whether a sandbox of a cluster can be called so: a DNS label that leaves room for the prefix of its namespace.
    public static func canBeNamed(_ name: String) -> Bool { ClusterNames.isSandbox(name) }

    /// Why this controller cannot follow a KarsSandbox, in one sentence; nil when it can.
    ///
    /// - Parameter ownImage: kars's; a sandbox of it runs the reference agent.
    public static func obstacle(to object: KubernetesObject, ownImage: String) -> String? {
        do throws(KarsSandbox.Invalid) {
            _ = try KarsSandbox(object, ownImage: ownImage)
            return nil
        } catch {
            return error.reason
        }
    }
}

/// Names and keys of what the controller makes (resources §2).
enum ClusterNames {
    static let fieldManager = "kars-controller/karssandbox"
    static let finalizer = "kars.azure.com/namespace-cleanup"
    static let sandboxLabel = "kars.azure.com/sandbox"
    static let componentLabel = "kars.azure.com/component"
    static let parentNamespaceLabel = "kars.azure.com/parent-namespace"
    static let spawnedByLabel = "kars.azure.com/spawned-by"
    static let requesterLabel = "kars.azure.com/requester"
    /// The key of the peer that the label names by a part of its hash.
    static let requesterAnnotation = "kars.azure.com/requester-key"
    static let modeAnnotation = "kars.azure.com/handoff-mode"
    /// Ours: the agent has come, so its absence means that it was destroyed.
    static let arrivedAnnotation = "kars.azure.com/handoff-arrived"
    static let restore = "restore"
    static let controllerRole = "kars-sandbox-manager"
    static let controllerAccount = "kars-controller"
    static let nodeSecret = "kars-node"
    static let settings = "agent-settings"
    static let claim = "state"
    static let networkPolicy = "sandbox-policy"
    /// Of the node beside the agent; the agent itself has 18789, and both share the pod's addresses.
    static let gatewayPort: Int64 = 18790

    static func namespace(of sandbox: String) -> String { "kars-" + sandbox }
    static let pairingPrefix = "pod-"
    static func pairing(of sandbox: String) -> String { pairingPrefix + sandbox }

    /// Whose namespaces are others': `kars-system` and `kars-sre`.
    private static let reserved: Set<String> = ["system", "sre"]

    /// Whether a namespace and a host can be called so: a DNS label that leaves room for the prefix.
    static func isSandbox(_ name: String) -> Bool {
        let edge: (UInt8) -> Bool = { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
        return !reserved.contains(name) && (1...58).contains(name.utf8.count) && edge(name.utf8.first!) && edge(name.utf8.last!)
            && name.utf8.allSatisfy { edge($0) || $0 == UInt8(ascii: "-") }
    }

    /// A value of a label, which cannot hold a whole DID.
    static func label(of key: PublicKey) -> String { key.amid }
}
