import FoundationEssentials
import MeshIdentity

/// A relation of trust with another peer, made by a one-time token (behaviours §5).
public struct Pairing: Codable, Sendable, Equatable {
    /// Where a pairing stands.
    ///
    ///     pending ──valid request──▶ active ──▶ revoked
    ///        └────────── expiry ───────┴──▶ expired
    public enum Phase: String, Codable, Sendable {
        case pending = "PendingPairing"
        case active = "Active"
        case expired = "Expired"
        case revoked = "Revoked"
    }

    /// Which side this record is of.
    public enum Role: String, Codable, Sendable {
        /// This peer made the token.
        case issuer
        /// This peer redeemed it.
        case redeemer
        /// There was no token: a peer that this one is paired with vouched for the other, which may do here what an
        /// issuer's peer may.
        case introduced
        /// There was no token: a peer that this one is paired with named the other as an agent's place.
        case place
    }

    /// Unique on this peer; what commands call it.
    public var name: String
    public var role: Role
    public var phase: Phase
    /// The other side's key; nil while pending.
    public var peerKey: PublicKey?
    /// The other side's own name, such as `cloud`.
    public var peerName: String?
    public var capabilities: [Capability]
    public var slots: Int
    public var tokenBudget: Int
    public var expiresAt: Date
    public var createdAt: Date
    public var pairedAt: Date?
    /// Who made the two known to each other; the pairing holds only while the one with this peer does.
    public var introducer: PublicKey?
    /// Slots in use, and the sandboxes of the offloads that use them; looked up when a pairing is shown, and nil where
    /// the other side keeps count.
    public var slotsUsed: Int?
    public var activeSandboxes: [String]?
    /// Tokens that offloads have spent of the budget.
    public var tokensUsed: Int?
    public var offloadsCompleted: Int?
    public var offloadsFailed: Int?
    /// When an offload ended last.
    public var lastOffloadAt: Date?

    /// Whether the other may do here what the capabilities say; else they say what this peer may do there.
    public var isGranted: Bool { role == .issuer || role == .introduced }

    /// Whether it came without a token.
    public var isIntroduced: Bool { role == .introduced || role == .place }

    /// The phase as of `now`: a record past its expiry counts as expired before anyone has written it down.
    public func phase(at now: Date) -> Phase {
        switch phase {
        case .pending, .active: expiresAt <= now ? .expired : phase
        case .expired, .revoked: phase
        }
    }
}
