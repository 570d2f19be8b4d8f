import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct DiscoveryTests {
    private func dids(_ answer: Answer) -> [String] {
        (answer.json["results"] as? [[String: Any]] ?? []).map { $0["did"] as? String ?? "" }
    }

    @Test func agentsAreFoundByCapabilityBestFirst() async throws {
        let registry = try Fixture()
        let plain = await registry.register(capabilities: ["chat"])
        let good = await registry.register(capabilities: ["chat", "code"])
        await registry.register(capabilities: ["chatter"])
        _ = try await registry.send("POST", "/v1/agents/\(good.did)/reputation", json: ["score": 1], as: plain)
        let found = await registry.send("GET", "/v1/discover", query: "capability=chat")
        #expect(found.status == 200)
        #expect(found.json["total"] as? Int == 2)
        #expect(dids(found) == [good.did.text, plain.did.text])
        let first = (found.json["results"] as! [[String: Any]])[0]
        #expect(first["capabilities"] as? [String] == ["chat", "code"])
        #expect(abs((first["reputation_score"] as! Double) - 0.65) < 1e-9)
        #expect(first["last_seen"] as? String == MeshTimestamp.format(registry.now))
    }

    @Test func pagesCoverEveryAgentOnce() async throws {
        let registry = try Fixture()
        var expected: Set<String> = []
        for _ in 0..<7 { expected.insert(await registry.register(capabilities: ["page"]).did.text) }
        var seen: [String] = []
        for offset in [0, 3, 6] {
            let page = await registry.send("GET", "/v1/discover", query: "capability=page&limit=3&offset=\(offset)")
            #expect(page.json["total"] as? Int == 7)
            seen += dids(page)
        }
        #expect(seen.count == 7)
        #expect(Set(seen) == expected)
    }

    @Test func aCapabilityIsTextAndNothingElse() async throws {
        let registry = try Fixture()
        let hostile = "x' OR 1=1; DROP TABLE agent; --%"
        let agent = await registry.register(capabilities: [hostile])
        let query = hostile.addingPercentEncoding(withAllowedCharacters: .alphanumerics)!
        #expect(dids(await registry.send("GET", "/v1/discover", query: "capability=\(query)")) == [agent.did.text])
        #expect(dids(await registry.send("GET", "/v1/discover", query: "capability=x%25")) == [])
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").status == 200)
    }

    @Test func aQueryOutOfBoundsIsRefused() async throws {
        let registry = try Fixture()
        for query in [
            "limit=1", "capability=", "capability=c&limit=0", "capability=c&limit=201", "capability=c&limit=x",
            "capability=c&offset=-1", "capability=" + String(repeating: "c", count: 129),
        ] {
            #expect(await registry.send("GET", "/v1/discover", query: query).status == 400, "\(query)")
        }
    }
}
