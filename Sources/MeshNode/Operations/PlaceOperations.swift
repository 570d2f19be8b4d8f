import FoundationEssentials
import MeshIdentity
import Sandboxes

/// Asks a peer where an agent that comes to it shall live. Most peers run their agents themselves; a cluster's controller
/// has a peer of its own for each, beside the agent in its pod, and the move goes straight there.
public struct FindPlace: PeerOperation {
    public static let name = "place.find"
    public static let access = OperationAccess.capability(.handoff)
    /// Longer than the place of a controller that was killed takes to pass on to the next one.
    public static let patience = 60

    public var spec: SandboxSpec
    public var lineage: DID
    /// Nothing is made for it, as nothing will move.
    public var isRehearsal: Bool

    public init(spec: SandboxSpec, lineage: DID, isRehearsal: Bool = false) {
        self.spec = spec
        self.lineage = lineage
        self.isRehearsal = isRehearsal
    }

    public struct Answer: Codable, Sendable {
        /// The peer to bring it to; nil while it is not there yet, or where the asked one is meant.
        public var peer: PublicKey?
        /// What is waited for; ask again. Nil where no place is being made.
        public var waitingFor: String?

        public init(peer: PublicKey? = nil, waitingFor: String? = nil) {
            self.peer = peer
            self.waitingFor = waitingFor
        }
    }
}

/// A controller tells the peer of a pod whom to trust: the peer that will bring an agent, or take it.
public struct IntroducePeer: PeerOperation {
    public static let name = "peer.introduce"
    public static let access = OperationAccess.operatorOnly

    public var peer: PublicKey
    public var peerName: String
    public var capabilities: [Capability]
    public var expiresAt: Date

    public init(peer: PublicKey, peerName: String, capabilities: [Capability], expiresAt: Date) {
        self.peer = peer
        self.peerName = peerName
        self.capabilities = capabilities
        self.expiresAt = expiresAt
    }

    /// As far as a pairing with the peer goes.
    public init(_ peer: PublicKey, by pairing: Pairing) {
        self.init(
            peer: peer, peerName: pairing.peerName ?? pairing.name, capabilities: pairing.capabilities,
            expiresAt: pairing.expiresAt)
    }

    public typealias Answer = Done
}

/// A controller takes back what it said of a peer, as when its pairing with it was revoked.
public struct WithdrawPeer: PeerOperation {
    public static let name = "peer.withdraw"
    public static let access = OperationAccess.operatorOnly

    public var peer: PublicKey

    public init(peer: PublicKey) { self.peer = peer }

    public typealias Answer = Done
}
