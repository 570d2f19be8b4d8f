import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct ReputationTests {
    private func agent(_ registry: Fixture, _ did: DID) async -> Answer {
        await registry.send("GET", "/v1/agents/\(did)")
    }

    private func report(
        _ initiator: Identity, _ receiver: Identity, _ outcome: String, reporter: Identity, session: String = "s1"
    ) -> [String: Any] {
        [
            "session_id": session, "initiator_amid": initiator.amid, "receiver_amid": receiver.did.text,
            "intent": "chat", "outcome": outcome, "started_at": "2026-11-24T00:00:00Z",
            "reporter_amid": reporter.amid,
        ]
    }

    @Test func aScoreMovesTheAverageAndCountsASession() async throws {
        let registry = try Fixture()
        let rated = await registry.register()
        let rater = await registry.register()
        let path = "/v1/agents/\(rated.did)/reputation"
        var expected = 0.5
        for score in [1.0, 0.0, 0.5, 0.7] {
            registry.advance(1)
            let answer = try await registry.send("POST", path, json: ["score": score, "reason": "r"], as: rater)
            expected = expected * 0.7 + score * 0.3
            #expect(answer.status == 200)
            #expect(abs((answer.json["reputation_score"] as? Double ?? -1) - expected) < 1e-9)
        }
        let after = await agent(registry, rated.did)
        #expect(after.json["successful_sessions"] as? Int == 2)
        #expect(after.json["failed_sessions"] as? Int == 1)
        #expect(after.json["timeout_sessions"] as? Int == 1)
        #expect(after.json["total_sessions"] as? Int == 4)
        #expect(after.json["completion_rate"] as? Double == 0.5)
        #expect(after.json["last_session_at"] as? String == MeshTimestamp.format(registry.now))
    }

    @Test func badScoresGetTheirStatus() async throws {
        let registry = try Fixture()
        let rated = await registry.register()
        let rater = await registry.register()
        let path = "/v1/agents/\(rated.did)/reputation"
        #expect(try await registry.send("POST", path, json: ["score": 1]).status == 401)
        #expect(try await registry.send("POST", path, json: ["score": 1], as: rated).status == 403)
        #expect(try await registry.send("POST", path, json: ["score": 1.01], as: rater).status == 400)
        #expect(try await registry.send("POST", path, json: ["score": -0.01], as: rater).status == 400)
        #expect(try await registry.send("POST", path, json: ["reason": "r"], as: rater).status == 400)
        let long = String(repeating: "r", count: 1025)
        #expect(try await registry.send("POST", path, json: ["score": 1, "reason": long], as: rater).status == 400)
        let nobody = "/v1/agents/nobody/reputation"
        #expect(try await registry.send("POST", nobody, json: ["score": 1], as: rater).status == 404)
        #expect(await agent(registry, rated.did).json["total_sessions"] as? Int == 0)
    }

    @Test func anOutcomeMovesThoseItConcerns() async throws {
        let registry = try Fixture()
        let path = "/v1/registry/reputation/session"
        for (outcome, initiatorScore, receiverScore) in [
            ("success", 0.6, 0.6), ("failed", 0.5, 0.4), ("timeout", 0.5, 0.44),
        ] {
            let initiator = await registry.register()
            let receiver = await registry.register()
            let answer = try await registry.send(
                "POST", path, json: report(initiator, receiver, outcome, reporter: initiator, session: outcome),
                as: initiator)
            #expect(answer.status == 200)
            #expect(answer.json["outcome"] as? String == outcome)
            #expect(answer.json["session_id"] as? String == outcome)
            let scores = answer.json["reputation"] as? [String: Double] ?? [:]
            #expect(abs(scores[receiver.did.text]! - receiverScore) < 1e-9)
            #expect((scores[initiator.did.text] != nil) == (outcome == "success"))
            for (identity, score) in [(initiator, initiatorScore), (receiver, receiverScore)] {
                let found = await agent(registry, identity.did).json["reputation_score"] as? Double
                #expect(abs(found! - score) < 1e-9)
            }
        }
    }

    @Test func aSessionCountsOnceForItsReporter() async throws {
        let registry = try Fixture()
        let initiator = await registry.register()
        let receiver = await registry.register()
        for _ in 0..<3 {
            registry.advance(1)
            let answer = try await registry.send(
                "POST", "/v1/registry/reputation/session",
                json: report(initiator, receiver, "success", reporter: initiator), as: initiator)
            #expect(answer.status == 200)
            #expect(abs((answer.json["reputation"] as? [String: Double])![receiver.did.text]! - 0.6) < 1e-9)
        }
        #expect(await agent(registry, receiver.did).json["total_sessions"] as? Int == 1)
    }

    @Test func badReportsGetTheirStatus() async throws {
        let registry = try Fixture()
        let initiator = await registry.register()
        let receiver = await registry.register()
        let outsider = await registry.register()
        func status(_ json: [String: Any], as identity: Identity?) async throws -> Int {
            registry.advance(0.01)
            return try await registry.send("POST", "/v1/registry/reputation/session", json: json, as: identity).status
        }
        let good = report(initiator, receiver, "success", reporter: initiator)
        #expect(try await status(good, as: nil) == 401)
        #expect(try await status(good, as: receiver) == 403)
        #expect(try await status(report(initiator, receiver, "success", reporter: outsider), as: outsider) == 403)
        #expect(try await status(report(initiator, receiver, "splendid", reporter: initiator), as: initiator) == 400)
        #expect(try await status(report(initiator, initiator, "success", reporter: initiator), as: initiator) == 400)
        let unnamed = report(initiator, receiver, "failed", reporter: initiator, session: "")
        #expect(try await status(unnamed, as: initiator) == 400)
        var broken = good
        broken["receiver_amid"] = "nobody"
        #expect(try await status(broken, as: initiator) == 400)
        #expect(await agent(registry, receiver.did).json["total_sessions"] as? Int == 0)
        #expect(try await status(good, as: initiator) == 200)
    }
}
