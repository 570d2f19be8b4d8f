import FoundationEssentials
import MeshIdentity
import Transport

/// The tier `verified`: an application that the tenant's Entra vouches for (AgentMesh wire §7).
extension RegistryAPI {
    private struct VerificationRequest: Decodable {
        let amid: String
        let verification_token: String
    }

    private struct VerificationAnswer: Encodable {
        let did: String
        let tier: String
        let verified_app_id: String?
        let verified_tenant_id: String?
        let verified_at: String?
    }

    /// Longest `verification_token` in bytes (AgentMesh wire §7).
    static let maximumVerificationTokenBytes = 8192

    /// A refused token changes nothing: whoever was verified stays so.
    ///
    /// The token says nothing of the agent. So that another application of the tenant cannot put its name on a
    /// verified agent, a change of the application needs the agent's own `Authorization`.
    func verify(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let verifier else {
            throw Refusal(status: 503, detail: "identity verification is not configured")
        }
        let wanted = try body(VerificationRequest.self, of: request)
        guard (1...Self.maximumVerificationTokenBytes).contains(wanted.verification_token.utf8.count) else {
            throw Refusal.malformed(
                "verification_token has 1 to \(Self.maximumVerificationTokenBytes) bytes")
        }
        let agent = try await registered(wanted.amid)
        guard agent.revocation == nil else { throw Refusal.forbidden("this agent's key is revoked") }
        let time = now()
        let application: VerifiedApplication
        do {
            application = try await verifier.verify(wanted.verification_token, now: time)
        } catch .keysUnavailable(let reason) {
            logger.warn("signing keys cannot be had", ["reason": reason])
            throw Refusal(
                status: 503, detail: "the identity provider's signing keys cannot be had now",
                headers: ["retry-after": "30"])
        } catch {
            counts.verificationsRefused.add()
            throw Refusal.unproven("\(error)")
        }
        if let known = agent.verifiedAppID, known != application.appID || agent.verifiedTenantID != application.tenantID
        {
            _ = try await caller(of: request, being: agent)
        }
        guard let verified = try await store.verify(agent.key.did, as: application, now: time) else {
            throw Refusal.missing("agent not found")
        }
        counts.verifications.add()
        logger.info("agent verified", ["did": verified.did, "app": application.appID])
        return .json(
            VerificationAnswer(
                did: verified.did, tier: verified.tier, verified_app_id: verified.verifiedAppID,
                verified_tenant_id: verified.verifiedTenantID,
                verified_at: verified.verifiedAt.map(MeshTimestamp.format)))
    }
}
