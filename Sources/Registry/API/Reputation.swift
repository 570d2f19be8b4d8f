import MeshIdentity
import Transport

/// What agents say of each other (AgentMesh wire §7).
extension RegistryAPI {
    /// Weight of a plain score and of a session's outcome in the moving average.
    private static let scoreWeight = 0.3
    private static let sessionWeight = 0.2

    private struct ScoreBody: Decodable {
        let score: Double
        let reason: String?
    }

    private struct ScoreAnswer: Encodable {
        let did: String
        let reputation_score: Double
    }

    private struct SessionBody: Decodable {
        let session_id: String
        let initiator_amid: String
        let receiver_amid: String
        let intent: String?
        let outcome: String
        let reporter_amid: String
    }

    private struct SessionAnswer: Encodable {
        let session_id: String
        let outcome: String
        let reputation: [String: Double]
    }

    func rate(_ did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        let (caller, proof) = try await caller(of: request)
        guard caller.key != agent.key else { throw Refusal.forbidden("an agent does not rate itself") }
        let rating = try body(ScoreBody.self, of: request)
        guard (0...1).contains(rating.score) else { throw Refusal.malformed("score is a number from 0 to 1") }
        try checkLength(rating.reason ?? "", "reason")
        let change = ReputationChange(
            did: agent.key.did, score: rating.score, weight: Self.scoreWeight,
            outcome: SessionOutcome(score: rating.score))
        return try await once(request, signature: proof.signature) {
            let scores = try await store.apply([change], session: nil, now: now())
            guard let score = scores[agent.did] else { throw Refusal.missing("agent not found") }
            return .json(ScoreAnswer(did: agent.did, reputation_score: score))
        }
    }

    func rateSession(_ request: HTTPRequest) async throws -> HTTPResponse {
        let (caller, proof) = try await caller(of: request)
        let report = try body(SessionBody.self, of: request)
        try checkLength(report.session_id, "session_id")
        try checkLength(report.intent ?? "", "intent")
        guard !report.session_id.isEmpty else { throw Refusal.malformed("session_id is empty") }
        let reporter = try name(report.reporter_amid, "reporter_amid")
        let initiator = try name(report.initiator_amid, "initiator_amid")
        let receiver = try name(report.receiver_amid, "receiver_amid")
        guard reporter.names(caller.key) else {
            throw Refusal.forbidden("reporter_amid is not the agent of the Authorization header")
        }
        guard reporter == initiator || reporter == receiver else {
            throw Refusal.forbidden("reporter_amid is neither initiator nor receiver of the session")
        }
        guard initiator != receiver else { throw Refusal.malformed("a session has two agents") }
        guard let outcome = SessionOutcome(rawValue: report.outcome) else {
            throw Refusal.malformed("outcome is success, failed or timeout")
        }
        func change(_ did: DID, _ score: Double) -> ReputationChange {
            ReputationChange(did: did, score: score, weight: Self.sessionWeight, outcome: outcome)
        }
        let changes =
            switch outcome {
            case .success: [change(receiver, 1), change(initiator, 1)]
            case .failed: [change(receiver, 0)]
            case .timeout: [change(receiver, 0.2)]
            }
        return try await once(request, signature: proof.signature) {
            let scores = try await store.apply(
                changes, session: (report.session_id, reporter), now: now())
            return .json(
                SessionAnswer(session_id: report.session_id, outcome: outcome.rawValue, reputation: scores))
        }
    }

    private func name(_ text: String, _ field: String) throws(Refusal) -> DID {
        do {
            return try DID(parsing: text)
        } catch {
            throw .malformed("\(field) is neither a DID nor an AMID")
        }
    }

    private func checkLength(_ text: String, _ field: String) throws(Refusal) {
        guard text.utf8.count <= limits.maximumReportTextBytes else {
            throw .malformed("\(field) has at most \(limits.maximumReportTextBytes) bytes")
        }
    }
}
