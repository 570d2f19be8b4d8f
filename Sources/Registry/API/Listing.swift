import MeshIdentity
import Transport

/// `GET /v1/agents` (ours): all agents, oldest first, page by page, or those of one tier or name.
///
/// A page costs what it holds, wherever it begins. Everything here is public: the log tells all keys anyway.
extension RegistryAPI {
    func listAgents(_ request: HTTPRequest) async throws -> HTTPResponse {
        let limit = try number("limit", 1...Self.maximumPageSize, of: request) ?? Self.defaultPageSize
        let after = try number("after", 0...Int.max, of: request) ?? 0
        let tier = request.queryValue("tier")
        guard tier.map([AgentRecord.anonymousTier, AgentRecord.verifiedTier].contains) ?? true else {
            throw Refusal.malformed("tier is anonymous or verified")
        }
        let name = request.queryValue("name")
        guard name?.utf8.count ?? 0 <= limits.maximumMetadataTextBytes else {
            throw Refusal.malformed("name has at most \(limits.maximumMetadataTextBytes) bytes")
        }
        let found = try await store.list(
            AgentFilter(tier: tier, displayName: name), after: Int64(after), limit: limit)
        var text = JSONText()
        text.open()
        text.field("next", found.count == limit ? found.last.map { "\($0.position)" } : nil)
        text.field("agents", json: "[")
        for (number, (_, agent)) in found.enumerated() {
            if number > 0 { text.raw(",") }
            try AgentAnswer.write(agent, into: &text)
        }
        text.raw("]")
        text.close()
        return .bytes(text.bytes, contentType: "application/json")
    }
}
