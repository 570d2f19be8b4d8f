import FoundationEssentials
import MeshIdentity

/// Answer of `GET /v1/agents/{did}` (AgentMesh wire §7), with our fields `public_key`,
/// `successor`, `revoked_at` and `revocation`.
struct AgentAnswer: Encodable {
    private let agent: AgentRecord

    init(_ agent: AgentRecord) { self.agent = agent }

    private enum CodingKeys: String, CodingKey {
        case did, capabilities, metadata, tier, successor, revocation
        case revokedAt = "revoked_at"
        case publicKey = "public_key"
        case registeredAt = "registered_at"
        case lastSeen = "last_seen"
        case reputationScore = "reputation_score"
        case totalSessions = "total_sessions"
        case successfulSessions = "successful_sessions"
        case failedSessions = "failed_sessions"
        case timeoutSessions = "timeout_sessions"
        case lastSessionAt = "last_session_at"
        case completionRate = "completion_rate"
        case verifiedAppID = "verified_app_id"
        case verifiedTenantID = "verified_tenant_id"
        case verifiedAt = "verified_at"
    }

    /// Absent values are `null`, as published; `successor` and what tells of a revocation are left out.
    func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(agent.did, forKey: .did)
        try fields.encode(agent.key, forKey: .publicKey)
        try fields.encode(agent.capabilities, forKey: .capabilities)
        try fields.encode(agent.metadata, forKey: .metadata)
        try fields.encode(MeshTimestamp.format(agent.registeredAt), forKey: .registeredAt)
        try fields.encode(MeshTimestamp.format(agent.lastSeen), forKey: .lastSeen)
        try fields.encode(agent.reputation, forKey: .reputationScore)
        try fields.encode(agent.totalSessions, forKey: .totalSessions)
        try fields.encode(agent.successfulSessions, forKey: .successfulSessions)
        try fields.encode(agent.failedSessions, forKey: .failedSessions)
        try fields.encode(agent.timeoutSessions, forKey: .timeoutSessions)
        try fields.encode(agent.lastSessionAt.map(MeshTimestamp.format), forKey: .lastSessionAt)
        try fields.encode(agent.completionRate, forKey: .completionRate)
        try fields.encode(agent.tier, forKey: .tier)
        try fields.encode(agent.verifiedAppID, forKey: .verifiedAppID)
        try fields.encode(agent.verifiedTenantID, forKey: .verifiedTenantID)
        try fields.encode(agent.verifiedAt.map(MeshTimestamp.format), forKey: .verifiedAt)
        try fields.encodeIfPresent(agent.successor, forKey: .successor)
        guard let revocation = agent.revocation else { return }
        try fields.encode(MeshTimestamp.format(revocation.at), forKey: .revokedAt)
        try fields.encode(revocation.certificate, forKey: .revocation)
    }
}
