import Foundation
import Storage
import TestSupport
import Testing

@testable import MeshIdentity
@testable import Registry

struct ListingTests {
    private func dids(_ answer: Answer) -> [String] {
        (answer.json["agents"] as? [[String: Any]] ?? []).map { $0["did"] as? String ?? "" }
    }

    @Test func pagesShowEveryAgentOnceAlsoWhileSomeLeave() async throws {
        let registry = try Fixture()
        var agents: [Identity] = []
        for _ in 0..<7 { agents.append(await registry.register()) }
        let first = await registry.send("GET", "/v1/agents", query: "limit=3")
        #expect(dids(first) == agents[..<3].map(\.did.text))
        _ = await registry.send("DELETE", "/v1/agents/\(agents[2].did)", as: agents[2])
        let next = try #require(first.json["next"] as? String)
        let second = await registry.send("GET", "/v1/agents", query: "limit=3&after=\(next)")
        #expect(dids(second) == agents[3..<6].map(\.did.text))
        let last = await registry.send(
            "GET", "/v1/agents", query: "limit=3&after=\(try #require(second.json["next"] as? String))")
        #expect(dids(last) == [agents[6].did.text])
        #expect(last.json["next"] is NSNull)
        #expect(dids(await registry.send("GET", "/v1/agents")).count == 6)
    }

    @Test func aTierOrANameNarrowsIt() async throws {
        let registry = try Fixture()
        let plain = await registry.register()
        let known = await registry.register(metadata: ["display_name": "it's \"me\""])
        let application = VerifiedApplication(appID: "app", tenantID: "tenant")
        _ = try await registry.store.verify(plain.did, as: application, now: registry.now)
        #expect(dids(await registry.send("GET", "/v1/agents", query: "tier=verified")) == [plain.did.text])
        #expect(dids(await registry.send("GET", "/v1/agents", query: "tier=anonymous")) == [known.did.text])
        let name = try #require("it's \"me\"".addingPercentEncoding(withAllowedCharacters: .alphanumerics))
        #expect(dids(await registry.send("GET", "/v1/agents", query: "name=\(name)")) == [known.did.text])
        #expect(dids(await registry.send("GET", "/v1/agents", query: "name=\(name)&tier=verified")) == [])
        #expect(dids(await registry.send("GET", "/v1/agents", query: "name=it")) == [])
        for query in ["tier=other", "limit=0", "limit=201", "after=-1", "after=x", "name=" + String(repeating: "n", count: 1025)] {
            #expect(await registry.send("GET", "/v1/agents", query: query).status == 400, "\(query)")
        }
    }

    @Test func aPageIsARangeOfAnIndex() async throws {
        let registry = try Fixture()
        let cases = [
            (AgentFilter(tier: "verified"), "agent_tier"), (AgentFilter(displayName: "x"), "agent_name"),
            (AgentFilter(), "PRIMARY KEY"),
        ]
        for (filter, index) in cases {
            let sql = "EXPLAIN QUERY PLAN " + SQLiteRegistryStore.listStatement(filter)
            let plan = try await registry.store.database.read { connection in
                try connection.query(
                    sql, .integer(5), .integer(3), SQLValue(filter.tier), SQLValue(filter.displayName)
                ) { $0.text(3) }
            }
            #expect(plan.contains { $0.contains(index) }, "\(plan)")
            #expect(!plan.contains { $0.contains("SCAN a") || $0.contains("TEMP B-TREE") }, "\(plan)")
        }
    }
}
