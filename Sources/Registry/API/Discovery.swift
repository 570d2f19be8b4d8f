import MeshIdentity
import Transport

/// Agents by what they can do.
extension RegistryAPI {
    private struct DiscoveryAnswer: Encodable {
        struct Found: Encodable {
            let did: String
            let capabilities: [String]
            let reputation_score: Double
            let last_seen: String
        }

        let results: [Found]
        /// On every page.
        let total: Int
    }

    func discover(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let capability = request.queryValue("capability"), !capability.isEmpty else {
            throw Refusal.malformed("the query parameter capability is missing")
        }
        guard capability.utf8.count <= limits.maximumCapabilityBytes else {
            throw Refusal.malformed("capability has at most \(limits.maximumCapabilityBytes) bytes")
        }
        let (limit, offset) = try page(of: request)
        let (agents, total) = try await store.discover(capability: capability, limit: limit, offset: offset)
        let results = agents.map {
            DiscoveryAnswer.Found(
                did: $0.did, capabilities: $0.capabilities, reputation_score: $0.reputation,
                last_seen: MeshTimestamp.format($0.lastSeen))
        }
        return .json(DiscoveryAnswer(results: results, total: total))
    }
}
