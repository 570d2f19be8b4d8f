import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct RevocationTests {
    private let registry: Fixture
    private let agent: Identity
    private let other: Identity

    init() async throws {
        registry = try Fixture()
        agent = await registry.register(capabilities: ["chat"])
        other = await registry.register()
    }

    private func revoke(
        _ identity: Identity, path: Identity? = nil, change: (inout [String: Any]) -> Void = { _ in }
    ) async throws -> Answer {
        let certificate = try RevocationCertificate.make(identity: identity, reason: "stolen", now: registry.now)
        let bytes = try JSONEncoder().encode(certificate)
        var body = try #require(try JSONSerialization.jsonObject(with: bytes) as? [String: Any])
        change(&body)
        return try await registry.send("POST", "/v1/agents/\((path ?? identity).did)/revoke", json: body)
    }

    @Test func aRevokedKeyIsToldAndProvesNothingAnyMore() async throws {
        let path = "/v1/agents/\(agent.did)"
        let upload = try makeUpload(of: agent, oneTime: makeOneTime(0..<3))
        #expect(try await registry.send("PUT", path + "/prekeys", json: upload, as: agent).status == 200)
        #expect(await registry.send("GET", path).json["revoked_at"] == nil)
        let answer = try await revoke(agent)
        #expect(answer.status == 200)
        #expect(answer.json["revoked_at"] as? String == MeshTimestamp.format(registry.now))

        let found = await registry.send("GET", path)
        #expect(found.json["revoked_at"] as? String == MeshTimestamp.format(registry.now))
        let told = try JSONSerialization.data(withJSONObject: try #require(found.json["revocation"]))
        try JSONDecoder().decode(RevocationCertificate.self, from: told).verify(now: registry.now)
        #expect(await registry.send("GET", path + "/prekeys").status == 404)
        registry.advance(20)
        for (method, resource) in [("POST", "/heartbeat"), ("PUT", "/prekeys"), ("DELETE", "")] {
            let refused = await registry.send(method, path + resource, as: agent)
            #expect(refused.status == 401, "\(method) \(resource)")
            #expect(refused.detail.contains("revoked"))
        }
        let rated = try await registry.send(
            "POST", "/v1/agents/\(other.did)/reputation", json: ["score": 0.0], as: agent)
        #expect(rated.status == 401)
        let found2 = await registry.send("GET", "/v1/discover", query: "capability=chat")
        #expect(found2.json["total"] as? Int == 0)
        // The name stays taken, so nobody with the stolen key starts over.
        let again = RegistrationRequest.make(identity: agent, now: registry.now).encode()
        #expect(await registry.send("POST", "/v1/agents", body: again).status == 409)
    }

    @Test func aRepeatedRevocationKeepsTheFirst() async throws {
        let first = try await revoke(agent)
        registry.advance(100)
        #expect(try await revoke(agent).json["revoked_at"] as? String == first.json["revoked_at"] as? String)
    }

    @Test func nobodyElseRevokesAKey() async throws {
        #expect(try await revoke(other, path: agent).status == 403)
        let forged = try await revoke(agent) { $0["signature"] = Base64.encodeURL(RandomBytes.make(64)) }
        #expect(forged.status == 401)
        for (field, value) in [
            ("reason", "other words"), ("timestamp", "2020-01-01T00:00:00Z"), ("did", other.did.text),
        ] {
            let changed = try await revoke(agent) { $0[field] = value }
            #expect(changed.status == 401, "\(field)")
        }
        let unsigned = try await revoke(agent) { $0["signature"] = nil }
        #expect(unsigned.status == 400)
        #expect(try await revoke(.generate()).status == 404)
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").json["revoked_at"] == nil)
    }

    @Test func aRevokedHomeNeitherGivesAgentsAwayNorTakesThemIn() async throws {
        let (homeless, home) = (await registry.register(), await registry.register())
        func move(_ agent: Identity, _ epoch: Int, to home: Identity, by signer: Identity) async throws -> Answer {
            let update = HomeUpdate.make(
                agent: agent.did, epoch: epoch, home: home.did, signer: signer, now: registry.now)
            let body = Array(try JSONEncoder().encode(update))
            return await registry.send("PUT", "/v1/agents/\(agent.did)/home", body: body)
        }
        #expect(try await move(agent, 1, to: home, by: agent).status == 200)
        _ = try await revoke(home)
        #expect(try await move(agent, 2, to: other, by: home).status == 401)
        #expect(try await move(homeless, 1, to: home, by: homeless).status == 422)
    }

    @Test func aRevocationIsThereAfterReopening() async throws {
        let folder = TemporaryFolder()
        let key = Identity.generate()
        do {
            let first = try Fixture(folder: folder)
            await first.register(key)
            let certificate = try RevocationCertificate.make(identity: key, reason: "", now: first.now)
            #expect(try await first.store.revoke(certificate, now: first.now) != nil)
            first.store.close()
        }
        let second = try Fixture(folder: folder)
        #expect(await second.send("GET", "/v1/agents/\(key.did)").json["revoked_at"] != nil)
    }
}
