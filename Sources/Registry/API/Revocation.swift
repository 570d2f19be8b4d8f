import FoundationEssentials
import MeshIdentity
import Transport

/// A key's last word. The body is signed by the key it is about, so it needs no `Authorization` header and may come
/// from anyone who holds it; and it says the same however often it comes.
extension RegistryAPI {
    private struct RevocationAnswer: Encodable {
        let did: String
        let revoked_at: String
    }

    func revoke(_ did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        let certificate = try body(RevocationCertificate.self, of: request)
        guard certificate.publicKey == agent.key else {
            throw Refusal.forbidden("the certificate is about another key")
        }
        do {
            try certificate.verify(now: now())
        } catch {
            switch error {
            case .missing, .malformed: throw Refusal.malformed("\(error)")
            default: throw Refusal.unproven("revocation refused: \(error)")
            }
        }
        guard let revocation = try await store.revoke(certificate, now: now()) else {
            throw Refusal.missing("agent not found")
        }
        logger.info("agent revoked", ["did": agent.did, "reason": revocation.certificate.reason])
        return .json(RevocationAnswer(did: agent.did, revoked_at: MeshTimestamp.format(revocation.at)))
    }
}
