import MeshIdentity

/// A KNOCK whose sender's key is proven, as a policy sees it.
public struct IncomingKnock: Sendable {
    public let peer: PeerIdentity
    public let intent: Intent
    /// Whether the sender signed this very KNOCK, and not at most its intent.
    public let isBound: Bool

    public init(peer: PeerIdentity, intent: Intent, isBound: Bool) {
        self.peer = peer
        self.intent = intent
        self.isBound = isBound
    }
}

/// Whether a peer's KNOCK is let in.
public enum KnockDecision: Sendable, Equatable {
    /// The conditions bind the peer that KNOCKed; both sides enforce them.
    case accept(conditions: KnockAcceptFrame.Conditions? = nil)
    /// The reason goes to the peer: `policy_denied`, `insufficient_trust` (AgentMesh wire §5).
    case reject(reason: String)

    /// For what cannot be decided now; the peer KNOCKs again.
    public static let tryLater = KnockDecision.reject(reason: "busy")
}

/// Decides about a KNOCK from a peer whose key is proven.
public typealias KnockPolicy = @Sendable (IncomingKnock) async -> KnockDecision
