import FoundationEssentials
import Transport

/// Asks the registry about agents (AgentMesh wire §7).
struct RegistryClient: Sendable {
    enum Answer: Sendable {
        /// - Parameter successor: who answers for it now (design decision 3).
        case agent(isVerified: Bool, successor: MeshAddress?)
        case unknown
        /// No usable answer; the reason is for the operator.
        case unavailable(String)
    }

    private struct Agent: Decodable {
        let tier: String?
        let successor: String?
        /// Set when the key is revoked: it then speaks for nobody.
        let revokedAt: String?

        private enum CodingKeys: String, CodingKey {
            case tier, successor
            case revokedAt = "revoked_at"
        }
    }

    let url: ServiceURL
    let client: HTTPClient

    func agent(_ address: MeshAddress) async -> Answer {
        do {
            let answer = try await client.send(
                HTTPClientRequest(url: url.appending(path: "/v1/agents/\(address)")))
            switch answer.status {
            case 200:
                let agent = try JSONDecoder().decode(Agent.self, from: Data(answer.body))
                guard agent.revokedAt == nil else { return .unknown }
                return .agent(
                    isVerified: agent.tier == "verified",
                    successor: agent.successor.flatMap { Array($0.utf8).withUnsafeBytes { MeshAddress($0) } })
            case 404: return .unknown
            default: return .unavailable("status \(answer.status)")
            }
        } catch {
            return .unavailable("\(error)")
        }
    }
}
