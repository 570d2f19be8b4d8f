import MeshIdentity
import Transport

/// Agents by what they can do.
extension RegistryAPI {
    func discover(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let capability = request.queryValue("capability"), !capability.isEmpty else {
            throw Refusal.malformed("the query parameter capability is missing")
        }
        guard capability.utf8.count <= limits.maximumCapabilityBytes else {
            throw Refusal.malformed("capability has at most \(limits.maximumCapabilityBytes) bytes")
        }
        let (limit, offset) = try page(of: request)
        let (agents, total) = try await store.discover(capability: capability, limit: limit, offset: offset)
        var text = JSONText()
        text.open()
        text.field("total", total)  // on every page
        text.field("results", json: "[")
        for (number, agent) in agents.enumerated() {
            if number > 0 { text.raw(",") }
            text.open()
            text.field("did", agent.did)
            text.field("capabilities", json: agent.capabilitiesJSON)
            text.field("reputation_score", agent.reputation)
            text.field("last_seen", MeshTimestamp.format(agent.lastSeen))
            text.close()
        }
        text.raw("]")
        text.close()
        return .bytes(text.bytes, contentType: "application/json")
    }
}
