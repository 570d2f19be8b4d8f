import MeshIdentity

/// Whether a peer's KNOCK is let in.
public enum KnockDecision: Sendable, Equatable {
    case accept
    /// The reason goes to the peer: `policy_denied`, `insufficient_trust` (wire §5).
    case reject(reason: String)
}

/// Decides about a KNOCK from a peer whose key is proven.
public typealias KnockPolicy = @Sendable (PeerIdentity, Intent) async -> KnockDecision
