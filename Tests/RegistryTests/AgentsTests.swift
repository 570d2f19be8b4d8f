import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct AgentsTests {
    @Test func aProvenKeyIsRegisteredOnce() async throws {
        let registry = try Fixture()
        let identity = Identity.generate()
        let body = RegistrationRequest.make(identity: identity, capabilities: ["chat"], now: registry.now).encode()
        let first = await registry.send("POST", "/v1/agents", body: body)
        #expect(first.status == 201)
        #expect(first.json["did"] as? String == identity.did.canonical)
        #expect(first.json["status"] as? String == "registered")
        let second = await registry.send("POST", "/v1/agents", body: body)
        #expect(second.status == 409)
        registry.advance(5)
        let later = RegistrationRequest.make(identity: identity, now: registry.now).encode()
        #expect(await registry.send("POST", "/v1/agents", body: later).status == 409)
    }

    @Test func aRegistrationMayUseEitherAlphabetAndPadding() async throws {
        let registry = try Fixture()
        for encode in [Base64.encode, Base64.encodeURL] {
            let identity = Identity.generate()
            let key = encode(identity.publicKey.bytes)
            let timestamp = MeshTimestamp.format(registry.now)
            let answer = try await registry.send(
                "POST", "/v1/agents",
                json: [
                    "public_key": key, "proof": encode(identity.sign(key + timestamp)), "proof_timestamp": timestamp,
                    "did": "did:mesh:somebody-else",
                ])
            #expect(answer.status == 201)
            #expect(answer.json["did"] as? String == identity.did.canonical)
        }
    }

    @Test func whatThePublishedLibrarySendsIsAccepted() async throws {
        // Made by the AgentMesh reference library, PyPI release 3.7.0.
        let registry = try Fixture()
        registry.advance(MeshTimestamp.parse("2026-11-24T00:00:30Z")!.timeIntervalSince(registry.now))
        let did = "did:mesh:bdd9c241e94ba3ce19749f55fe426d62"
        let registered = try await registry.send(
            "POST", "/v1/agents",
            json: [
                "public_key": "mgkOjRbyQT767n352k6fpKrf880WoW2hFBnt4kJjJ9U",
                "proof": "67mS0XHe7jmGOe5pzbWrusrsy1h-w-qOH6VCRlGnFSsYLlvtu0BlUfmoh0prwpQwVVDhtn00lCi8GVMp9VYeCQ",
                "proof_timestamp": "2026-11-24T00:00:00.000Z", "capabilities": ["chat"],
                "metadata": ["display_name": "agent-0"],
            ])
        #expect(registered.status == 201)
        #expect(registered.json["did"] as? String == did)
        let header = "Ed25519-Timestamp \(did) 2026-11-24T00:00:00.000Z "
            + "Y_In5ZlkDRgrJnnUN9gvDPxnd63aolWD_OGEmfDusMIv37gbV2CL5XqLxohLXDMXzi9l_zOBF-EXimsc7ezRAA"
        #expect(await registry.send("POST", "/v1/agents/\(did)/heartbeat", authorization: header).status == 200)
        #expect(await registry.send("DELETE", "/v1/agents/\(did)", authorization: header).status == 204)
    }

    @Test func aRegistrationWithoutProofIsToldWhatIsMissing() async throws {
        let registry = try Fixture()
        let identity = Identity.generate()
        let key = identity.publicKey.base64URL
        let time = MeshTimestamp.format(registry.now)
        for (missing, fields) in [
            ("proof", ["public_key": key, "proof_timestamp": time]),
            ("proof_timestamp", ["public_key": key, "proof": Base64.encodeURL(identity.sign(key + time))]),
        ] {
            let answer = try await registry.send("POST", "/v1/agents", json: fields)
            #expect(answer.status == 401)
            #expect(answer.detail.hasPrefix("\(missing) is missing"))
        }
    }

    @Test func badRegistrationsGetTheirStatus() async throws {
        let registry = try Fixture()
        let identity = Identity.generate()
        func answer(_ change: (inout [String: Any]) -> Void) async throws -> Int {
            let good = RegistrationRequest.make(identity: identity, now: registry.now).encode()
            var fields = try JSONSerialization.jsonObject(with: Data(good)) as! [String: Any]
            change(&fields)
            return try await registry.send("POST", "/v1/agents", json: fields).status
        }
        #expect(try await answer { $0["public_key"] = "not base64!" } == 400)
        #expect(try await answer { $0["public_key"] = Base64.encodeURL([1, 2, 3]) } == 400)
        #expect(try await answer { $0["public_key"] = nil } == 400)
        #expect(try await answer { $0["public_key"] = 7 } == 400)
        #expect(try await answer { $0["proof"] = "AAAA" } == 400)
        #expect(try await answer { $0["proof"] = Base64.encodeURL(Identity.generate().sign("x")) } == 401)
        #expect(try await answer { $0["proof_timestamp"] = "yesterday" } == 401)
        #expect(try await answer { $0["capabilities"] = "chat" } == 400)
        #expect(try await answer { $0["capabilities"] = Array(repeating: "c", count: 65) } == 400)
        #expect(try await answer { $0["capabilities"] = [String(repeating: "c", count: 129)] } == 400)
        #expect(try await answer { $0["capabilities"] = [""] } == 400)
        #expect(try await answer { $0["metadata"] = ["k": 1] } == 400)
        #expect(try await answer { $0["metadata"] = ["k": String(repeating: "v", count: 1025)] } == 400)
        let many = Dictionary(uniqueKeysWithValues: (0..<33).map { ("k\($0)", "v") })
        #expect(try await answer { $0["metadata"] = many } == 400)
        let old = RegistrationRequest.make(identity: identity, now: registry.now.addingTimeInterval(-301)).encode()
        #expect(await registry.send("POST", "/v1/agents", body: old).status == 401)
        let early = RegistrationRequest.make(identity: identity, now: registry.now.addingTimeInterval(301)).encode()
        #expect(await registry.send("POST", "/v1/agents", body: early).status == 401)
        #expect(await registry.send("GET", "/v1/agents/\(identity.did)").status == 404)
        #expect(try await answer { _ in } == 201)
    }

    @Test func everyNameOfAKeyFindsItsAgent() async throws {
        let registry = try Fixture()
        let agent = await registry.register(capabilities: ["b", "a"], metadata: ["display_name": "zoë"])
        let mesh = agent.publicKey.did.text
        for name in [
            mesh, agent.publicKey.agentMeshDID.text, agent.publicKey.amid,
            mesh.replacingOccurrences(of: ":", with: "%3A"),
        ] {
            let answer = await registry.send("GET", "/v1/agents/\(name)")
            #expect(answer.status == 200)
            #expect(answer.json["did"] as? String == mesh)
        }
        let answer = await registry.send("GET", "/v1/agents/\(mesh)")
        #expect(answer.json["public_key"] as? String == agent.publicKey.base64URL)
        #expect(answer.json["capabilities"] as? [String] == ["b", "a"])
        #expect(answer.json["metadata"] as? [String: String] == ["display_name": "zoë"])
        #expect(answer.json["reputation_score"] as? Double == 0.5)
        #expect(answer.json["tier"] as? String == "anonymous")
        #expect(answer.json["total_sessions"] as? Int == 0)
        for absent in ["completion_rate", "last_session_at", "verified_app_id", "verified_tenant_id", "verified_at"] {
            #expect(answer.json[absent] is NSNull)
        }
        #expect(answer.json["successor"] == nil)
        #expect(answer.json["registered_at"] as? String == MeshTimestamp.format(registry.now))
    }

    @Test func aLongerNameThatIsNotTheKeysFindsNothing() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        var digest = Base58.decode(agent.publicKey.amid)!
        digest[19] ^= 1
        #expect(await registry.send("GET", "/v1/agents/\(Base58.encode(digest))").status == 404)
        #expect(await registry.send("GET", "/v1/agents/nobody").status == 404)
        #expect(await registry.send("GET", "/v1/agents/\(Identity.generate().did)").status == 404)
    }

    @Test func onlyTheAgentItselfLeaves() async throws {
        let registry = try Fixture()
        let agent = await registry.register(capabilities: ["chat"])
        let other = await registry.register()
        let path = "/v1/agents/\(agent.did)"
        #expect(await registry.send("DELETE", path).status == 401)
        #expect(await registry.send("DELETE", path, authorization: "Bearer x").status == 401)
        #expect(await registry.send("DELETE", path, as: .generate()).status == 401)
        #expect(await registry.send("DELETE", path, as: other).status == 403)
        let forged = TimestampAuthorization.header(for: other, now: registry.now)
            .replacingOccurrences(of: other.did.text, with: agent.did.text)
        #expect(await registry.send("DELETE", path, authorization: forged).status == 401)
        let stale = TimestampAuthorization.header(for: agent, now: registry.now.addingTimeInterval(-301))
        #expect(await registry.send("DELETE", path, authorization: stale).status == 401)
        #expect(await registry.send("GET", path).status == 200)
        let left = await registry.send("DELETE", path, as: agent)
        #expect(left.status == 204)
        #expect(left.text.isEmpty)
        #expect(await registry.send("GET", path).status == 404)
        #expect(await registry.send("DELETE", path, as: agent).status == 404)
        let found = await registry.send("GET", "/v1/discover", query: "capability=chat")
        #expect(found.json["total"] as? Int == 0)
    }

    @Test func aReplayedRegistrationDoesNotBringADepartedAgentBack() async throws {
        let registry = try Fixture()
        let agent = Identity.generate()
        let body = RegistrationRequest.make(identity: agent, now: registry.now).encode()
        #expect(await registry.send("POST", "/v1/agents", body: body).status == 201)
        registry.advance(1)
        let removal = TimestampAuthorization.header(for: agent, now: registry.now)
        #expect(await registry.send("DELETE", "/v1/agents/\(agent.did)", authorization: removal).status == 204)
        registry.advance(298)
        let replayed = await registry.send("POST", "/v1/agents", body: body)
        #expect(replayed.status == 401)
        #expect(replayed.detail.hasPrefix("replayed"))
        await registry.register(agent)
        let again = await registry.send("DELETE", "/v1/agents/\(agent.did)", authorization: removal)
        #expect(again.status == 401)
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").status == 200)
    }

    @Test func aFullRegistrySaysSo() async throws {
        var limits = RegistryLimits()
        limits.maximumAgents = 2
        let registry = try Fixture(limits: limits)
        let first = await registry.register()
        await registry.register()
        let body = RegistrationRequest.make(identity: .generate(), now: registry.now).encode()
        #expect(await registry.send("POST", "/v1/agents", body: body).status == 503)
        #expect(await registry.send("DELETE", "/v1/agents/\(first.did)", as: first).status == 204)
        // What had no effect is not a replay.
        #expect(await registry.send("POST", "/v1/agents", body: body).status == 201)
    }

    @Test func theAuthorizationHeaderMayUseEitherAlphabet() async throws {
        let registry = try Fixture()
        for encode in [Base64.encode, Base64.encodeURL] {
            let agent = await registry.register()
            let time = MeshTimestamp.format(registry.now)
            let header = "Ed25519-Timestamp \(agent.publicKey.amid) \(time) \(encode(agent.sign(time)))"
            let answer = await registry.send("DELETE", "/v1/agents/\(agent.did)", authorization: header)
            #expect(answer.status == 204)
        }
    }
}
