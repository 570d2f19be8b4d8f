import FoundationEssentials
import MeshIdentity
import Transport

/// Answer of `GET /v1/agents/{did}` (AgentMesh wire §7), with our fields `public_key`, `successor`, `revoked_at` and
/// `revocation`.
enum AgentAnswer {
    /// Absent values are `null`, as published; `successor` and what tells of a revocation are left out.
    static func make(_ agent: AgentRecord) throws -> HTTPResponse {
        var text = JSONText()
        try write(agent, into: &text)
        return .bytes(text.bytes, contentType: "application/json")
    }

    static func write(_ agent: AgentRecord, into text: inout JSONText) throws {
        text.open()
        text.field("did", agent.did)
        text.field("public_key", agent.key.base64URL)
        text.field("capabilities", json: agent.capabilitiesJSON)
        text.field("metadata", json: agent.metadataJSON)
        text.field("registered_at", MeshTimestamp.format(agent.registeredAt))
        text.field("last_seen", MeshTimestamp.format(agent.lastSeen))
        text.field("reputation_score", agent.reputation)
        text.field("total_sessions", agent.totalSessions)
        text.field("successful_sessions", agent.successfulSessions)
        text.field("failed_sessions", agent.failedSessions)
        text.field("timeout_sessions", agent.timeoutSessions)
        text.field("last_session_at", agent.lastSessionAt.map(MeshTimestamp.format))
        text.field("completion_rate", agent.completionRate)
        text.field("tier", agent.tier)
        text.field("verified_app_id", agent.verifiedAppID)
        text.field("verified_tenant_id", agent.verifiedTenantID)
        text.field("verified_at", agent.verifiedAt.map(MeshTimestamp.format))
        if let successor = agent.successor { text.field("successor", successor) }
        if let revocation = agent.revocation {
            text.field("revoked_at", MeshTimestamp.format(revocation.at))
            text.field("revocation", json: try JSONColumn.text(revocation.certificate))
        }
        text.close()
    }
}
