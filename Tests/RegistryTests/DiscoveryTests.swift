import Foundation
import MeshIdentity
import Storage
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
            "capability=c&offset=-1", "capability=c&offset=100001", "capability=" + String(repeating: "c", count: 129),
        ] {
            #expect(await registry.send("GET", "/v1/discover", query: query).status == 400, "\(query)")
        }
    }

    @Test func whoLeavesOrIsRevokedIsNotFoundAndNotCounted() async throws {
        let registry = try Fixture()
        let stays = await registry.register(capabilities: ["chat"])
        let leaves = await registry.register(capabilities: ["chat", "only"])
        let revoked = await registry.register(capabilities: ["chat"])
        #expect(await registry.send("GET", "/v1/discover", query: "capability=chat").json["total"] as? Int == 3)
        #expect(await registry.send("DELETE", "/v1/agents/\(leaves.did)", as: leaves).status == 204)
        let certificate = try RevocationCertificate.make(identity: revoked, reason: "", now: registry.now)
        _ = try await registry.store.revoke(certificate, now: registry.now)
        let found = await registry.send("GET", "/v1/discover", query: "capability=chat")
        #expect(dids(found) == [stays.did.text])
        #expect(found.json["total"] as? Int == 1)
        #expect(await registry.send("GET", "/v1/discover", query: "capability=only").json["total"] as? Int == 0)
    }

    @Test func aStoreFromBeforeTheCountersIsBroughtUpToDate() async throws {
        let folder = TemporaryFolder()
        let keys = (0..<3).map { _ in Identity.generate().publicKey }
        do {
            let old = try Database(
                path: folder.file(RegistryService.databaseName), migrations: Array(RegistrySchema.migrations.prefix(5)))
            defer { old.close() }
            try old.writeBlocking { connection in
                for (number, key) in keys.enumerated() {
                    try connection.execute(
                        """
                        INSERT INTO agent (did, key, capabilities, metadata, registered_at, last_seen, reputation, tier,
                            revoked_at) VALUES (?, ?, '["chat"]', '{}', 0, 0, ?, 'anonymous', ?)
                        """,
                        .blob(key.did.rowKey), .blob(key.bytes), .real(Double(number) / 4),
                        SQLValue(number == 1 ? 5 : Int?.none))
                    try connection.execute(
                        "INSERT INTO capability (name, agent) VALUES ('chat', ?)",
                        .integer(connection.lastInsertedRowID))
                }
            }
        }
        let store = try SQLiteRegistryStore(folder: folder.path)
        defer { store.close() }
        let found = try await store.discover(capability: "chat", limit: 10, offset: 0)
        #expect(found.agents.map(\.did) == [keys[2], keys[0]].map(\.did.canonical))
        #expect(found.total == 2)
    }
}
