import FoundationEssentials
import MeshIdentity

/// A registered agent as the store keeps it.
struct AgentRecord: Sendable, Equatable {
    let key: PublicKey
    /// JSON lists and objects as they are stored and sent: reading and writing them anew would be most of an answer's cost.
    let capabilitiesJSON: String
    let metadataJSON: String
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

    /// A new one.
    init(
        key: PublicKey, capabilities: [String], metadata: [String: String], registeredAt: Date, lastSeen: Date
    ) throws {
        self.init(
            key: key, capabilitiesJSON: try JSONColumn.text(capabilities), metadataJSON: try JSONColumn.text(metadata),
            registeredAt: registeredAt, lastSeen: lastSeen)
    }

    /// A stored one.
    init(key: PublicKey, capabilitiesJSON: String, metadataJSON: String, registeredAt: Date, lastSeen: Date) {
        self.key = key
        self.capabilitiesJSON = capabilitiesJSON
        self.metadataJSON = metadataJSON
        self.registeredAt = registeredAt
        self.lastSeen = lastSeen
    }

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

/// What discovery tells of an agent.
struct FoundAgent: Sendable, Equatable {
    let did: String
    /// A list, as it is stored and sent.
    let capabilitiesJSON: String
    let reputation: Double
    let lastSeen: Date
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
