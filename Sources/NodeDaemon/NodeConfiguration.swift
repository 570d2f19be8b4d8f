import Controller
import MeshIdentity
import Offload
import Resources
import Sandboxes
import Transport

/// How a node runs; each property is a flag of `kars node`.
public struct NodeConfiguration: Sendable {
    /// The file in the home folder that a running node holds locked.
    public static let lockName = "node.lock"

    /// What a node says in the registry that it can do.
    public static let capabilities = ["kars-peer", "offload", "pairing"]

    /// What other peers and commands call this one.
    public var name: String
    /// `KARS_HOME`: identity and lock; one node a home.
    public var homeFolder: String
    /// State, sandboxes and moves.
    public var dataFolder: String
    public var relay: ServiceURL
    public var registry: ServiceURL
    /// Trust for relay and registry.
    public var tls: ClientTLS
    /// The relay's shared secret, when it asks for one.
    public var relayToken: String?
    /// Where clients reach the agents.
    public var gateway: Endpoint
    public var gatewayTLS: ServerTLS?
    public var allowPlaintext: Bool
    /// Where other peers reach the gateway, for moves that need no relay.
    public var advertised: ServiceURL?
    /// Whether moves may send their bulk without the relay.
    public var movesDirectly = true
    /// The Unix socket for commands.
    public var socketPath: String
    /// A pairing token to redeem at the start.
    public var pairingToken: String?
    /// Least trust of a peer that is not paired yet, 0 to 1000: its reputation in the registry times 1000.
    public var trustThreshold = 0.0
    /// Whether every KNOCK must be signed whole, not only that of a paired peer.
    public var requiresSignedKnocks = false
    /// Bounds on offloads, for others and by this peer.
    public var offloads = OffloadLimits()
    /// What runs the sandboxes; nil for what is there.
    public var driver: DriverKind?
    /// The pod that this node is part of, for ``DriverKind/pod``.
    public var pod: PodDriver.Place?
    /// The cluster whose controller this node is, for ``DriverKind/kubernetes``.
    public var cluster: (settings: ClusterSettings, api: KubernetesConfiguration)?
    /// The peer that made this one and may do here what the operator may.
    public var controller: PublicKey?
    /// Asks for the passphrase of an identity that is sealed with one; nil where nobody can be asked.
    public var askPassphrase: KeySealers.AskPassphrase?
    /// The `kars` that runs inside sandboxes.
    public var karsExecutable: String

    public init(
        name: String, homeFolder: String, dataFolder: String, relay: ServiceURL, registry: ServiceURL,
        tls: ClientTLS = ClientTLS(), relayToken: String? = nil,
        gateway: Endpoint = .tcp(host: "127.0.0.1", port: 18789), gatewayTLS: ServerTLS? = nil,
        allowPlaintext: Bool = false, socketPath: String? = nil, pairingToken: String? = nil,
        karsExecutable: String
    ) {
        self.name = name
        self.homeFolder = homeFolder
        self.dataFolder = dataFolder
        self.relay = relay
        self.registry = registry
        self.tls = tls
        self.relayToken = relayToken
        self.gateway = gateway
        self.gatewayTLS = gatewayTLS
        self.allowPlaintext = allowPlaintext
        self.socketPath = socketPath ?? dataFolder + "/node.sock"
        self.pairingToken = pairingToken
        self.karsExecutable = karsExecutable
    }
}
