import FoundationEssentials
import MeshIdentity

/// A registered agent as the store keeps it.
struct AgentRecord: Sendable, Equatable {
    let key: PublicKey
    var capabilities: [String]
    var metadata: [String: String]
    var registeredAt: Date
    var lastSeen: Date
    var reputation = Self.initialReputation
    var successfulSessions = 0
    var failedSessions = 0
    var timeoutSessions = 0
    var lastSessionAt: Date?
    var tier = Self.anonymousTier
    var verifiedAppID: String?
    var verifiedTenantID: String?
    var verifiedAt: Date?
    /// The lineage's present DID when that is another key than this one.
    var successor: String?
    /// The key's last word.
    var revocation: AgentRevocation?

    /// AgentMesh wire §7.
    static let initialReputation = 0.5
    static let anonymousTier = "anonymous"
    static let verifiedTier = "verified"

    var did: String { key.did.canonical }
    var totalSessions: Int { successfulSessions + failedSessions + timeoutSessions }
    /// Nil without sessions.
    var completionRate: Double? {
        totalSessions == 0 ? nil : Double(successfulSessions) / Double(totalSessions)
    }
}

/// When a key was revoked, and the certificate that says so.
struct AgentRevocation: Sendable, Equatable {
    let at: Date
    let certificate: RevocationCertificate
}

/// How a session ended.
enum SessionOutcome: String, Sendable {
    case success, failed, timeout

    /// The outcome that a plain score counts as (AgentMesh wire §7).
    init(score: Double) {
        self = score >= 0.7 ? .success : score < 0.3 ? .failed : .timeout
    }
}

/// One change of an agent's reputation: a moving average toward a score, and a session counted.
struct ReputationChange: Sendable {
    let did: DID
    let score: Double
    /// Weight of the new score, 0 to 1.
    let weight: Double
    let outcome: SessionOutcome
}
