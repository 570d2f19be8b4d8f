import Observability
import Transport

/// What the relay answers over HTTP (AgentMesh wire §7 and the probes every service has).
struct RelayHealth: Sendable {
    private struct Report: Encodable {
        struct Stats: Encodable {
            let messages_routed: Int
            let messages_stored: Int
            let messages_delivered: Int
        }
        let status: String
        let service: String
        let connected_agents: Int
        let verified_agents: Int
        let entra_verify_enabled: Bool
        let stats: Stats
    }

    private struct Detail: Encodable { let detail: String }

    let health: Health
    let metrics: RelayMetrics
    /// Whether agents show tokens of Entra.
    let verifiesApplications: Bool

    /// For an address whose budget is used up (``RelayLimits/strangersPerMinute``).
    static var tooMany: HTTPResponse {
        var answer = HTTPResponse.json(Detail(detail: "too many requests from your address"), status: 429)
        answer.headers.add("retry-after", "60")
        answer.closesConnection = true
        return answer
    }

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            return .json(Detail(detail: "method not allowed"), status: 405)
        }
        if request.path == "/health" { return report }
        guard let answer = health.answer(path: request.path) else {
            return .json(Detail(detail: "not found"), status: 404)
        }
        return .text(answer.body, status: answer.status, contentType: answer.contentType)
    }

    private var report: HTTPResponse {
        .json(
            Report(
                status: health.isReady ? "healthy" : "unavailable", service: "agentmesh-relay",
                connected_agents: metrics.agents.value, verified_agents: metrics.verifiedAgents.value,
                entra_verify_enabled: verifiesApplications,
                stats: Report.Stats(
                    messages_routed: metrics.routed.value, messages_stored: metrics.stored.value,
                    messages_delivered: metrics.deliveredLive.value + metrics.deliveredLater.value)),
            status: health.isReady ? 200 : 503)
    }
}
