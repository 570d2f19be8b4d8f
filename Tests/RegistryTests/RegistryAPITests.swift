import Foundation
import MeshIdentity
import TestSupport
import Testing
import Transport

@testable import Registry

struct RegistryAPITests {
    @Test func whatIsNotConfiguredSaysSo() async throws {
        let registry = try Fixture()
        let verify = try await registry.send(
            "POST", "/v1/registry/verify", json: ["amid": "x", "verification_token": "t"])
        #expect(verify.status == 503)
        #expect(verify.detail == "identity verification is not configured")
        let providers = await registry.send("GET", "/v1/auth/oauth/providers")
        #expect(providers.status == 200)
        #expect((providers.json["providers"] as? [Any])?.isEmpty == true)
        #expect(await registry.send("POST", "/v1/auth/oauth/authorize").status == 503)
    }

    @Test func healthAndMetricsAnswer() async throws {
        let registry = try Fixture()
        let health = await registry.send("GET", "/health")
        #expect(health.json["status"] as? String == "ok")
        #expect(health.json["service"] as? String == "agentmesh-registry")
        #expect(health.json["entra_verify_enabled"] as? Bool == false)
        #expect(await registry.send("GET", "/healthz").status == 200)
        #expect(await registry.send("GET", "/readyz").status == 200)
        await registry.register()
        let metrics = await registry.send("GET", "/metrics").text
        #expect(metrics.contains("kars_registry_registrations_total 1\n"))
        #expect(metrics.contains("kars_registry_requests_total{class=\"2xx\"} 2\n"))
    }

    @Test func unknownPathsAndMethodsAreRefusedInJSON() async throws {
        let registry = try Fixture()
        for path in [
            "/", "/v1", "/v1/", "/v1/agents/", "/v1/agents/a/b", "/v1/agents/a/home/history/x", "/v2/agents",
            "/v1/agents/%zz", "/v1/agents/%ff", "/v1/auth/oauth", "/v1/" + String(repeating: "a", count: 2000),
        ] {
            let answer = await registry.send("GET", path)
            #expect(answer.status == 404, "\(path)")
            #expect(!answer.detail.isEmpty)
        }
        let answer = await registry.send("PATCH", "/v1/agents/x")
        #expect(answer.status == 405)
        #expect(answer.headers["allow"] == "GET, DELETE")
    }

    @Test func aLargeBodyIsRefusedUnread() async throws {
        let registry = try Fixture()
        let body = [UInt8](repeating: 0x20, count: 256 << 10)
        #expect(await registry.send("POST", "/v1/agents", body: body).status == 400)
        #expect(await registry.send("POST", "/v1/agents", body: body + [0x20]).status == 413)
    }

    @Test func anAddressThatAsksTooMuchWaits() async throws {
        var limits = RegistryLimits()
        limits.requestBurst = 3
        limits.requestsPerSecond = 1
        let registry = try Fixture(limits: limits)
        func status(_ address: String) async -> Int {
            await registry.send("GET", "/v1/agents/x", from: address).status
        }
        for _ in 0..<3 { #expect(await status("192.0.2.7") == 404) }
        let refused = await registry.send("GET", "/v1/agents/x", from: "192.0.2.7")
        #expect(refused.status == 429)
        #expect(refused.headers["retry-after"] == "1")
        #expect(await status("::ffff:192.0.2.7") == 429)
        #expect(await status("192.0.2.8") == 404)
        #expect(await registry.send("GET", "/healthz", from: "192.0.2.7").status == 200)
        registry.advance(1)
        #expect(await status("192.0.2.7") == 404)
        #expect(await status("192.0.2.7") == 429)
        for host in 1...3 { #expect(await status("2001:db8:1:2::\(host)") == 404) }
        #expect(await status("2001:db8:1:2::4") == 429)
        #expect(await status("2001:db8:1:3::1") == 404)
    }

    @Test func everythingIsThereAfterReopening() async throws {
        let folder = TemporaryFolder()
        let agent = Identity.generate(), new = Identity.generate(), home = Identity.generate()
        var before: [String] = []
        func answers(_ registry: Fixture) async -> [String] {
            var texts: [String] = []
            for path in ["", "/presence", "/home", "/home/history"] {
                for identity in [agent, new, home] {
                    texts.append(await registry.send("GET", "/v1/agents/\(identity.did)\(path)").text)
                }
            }
            return texts + [await registry.send("GET", "/v1/discover", query: "capability=chat").text]
        }
        do {
            let registry = try Fixture(folder: folder)
            await registry.register(agent, capabilities: ["chat"], metadata: ["k": "v"])
            await registry.register(new, capabilities: ["chat"])
            await registry.register(home)
            let upload = try makeUpload(of: new, oneTime: makeOneTime(0..<2))
            #expect(
                try await registry.send("PUT", "/v1/agents/\(new.did)/prekeys", json: upload, as: new).status == 200)
            let score = try await registry.send(
                "POST", "/v1/agents/\(new.did)/reputation", json: ["score": 0.9], as: agent)
            #expect(score.status == 200)
            let first = HomeUpdate.make(agent: agent.did, epoch: 1, home: home.did, signer: agent, now: registry.now)
            let second = HomeUpdate.make(
                agent: agent.did, epoch: 2, home: home.did, signer: home,
                succession: .make(old: agent, new: new, reason: "", epoch: 2, now: registry.now), now: registry.now)
            for update in [first, second] {
                let body = Array(try JSONEncoder().encode(update))
                #expect(await registry.send("PUT", "/v1/agents/\(agent.did)/home", body: body).status == 200)
            }
            _ = await registry.send("GET", "/v1/agents/\(new.did)/prekeys")
            before = await answers(registry)
            #expect(throws: (any Error).self, "one registry a folder") { try Fixture(folder: folder) }
        }
        let registry = try Fixture(folder: folder)
        #expect(await answers(registry) == before)
        let bundle = await registry.send("GET", "/v1/agents/\(new.did)/prekeys")
        #expect((bundle.json["one_time_pre_key"] as? [String: Any])?["key_id"] as? Int == 1)
    }

    @Test func aStoreThatFailsIsNotToldToStrangers() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        registry.store.close()
        let answer = await registry.send("GET", "/v1/agents/\(agent.did)")
        #expect(answer.status == 500)
        #expect(answer.json as? [String: String] == ["detail": "internal error"])
    }

    @Test func mutatedBodiesAndHeadersAreRefusedByValue() async throws {
        var limits = RegistryLimits()
        limits.requestBurst = .infinity
        let registry = try Fixture(limits: limits)
        let agent = await registry.register()
        let home = await registry.register()
        var random = SeededRandom(seed: 11)
        let upload = Array(
            try JSONSerialization.data(withJSONObject: makeUpload(of: agent, oneTime: makeOneTime(0..<3))))
        let update = Array(
            try JSONEncoder().encode(
                HomeUpdate.make(
                    agent: agent.did, epoch: 1, home: home.did, signer: agent,
                    succession: .make(old: agent, new: home, reason: "r", epoch: 1, now: registry.now),
                    now: registry.now)))
        let session = Array(#"{"session_id":"s","initiator_amid":"a","receiver_amid":"b","outcome":"x"}"#.utf8)
        let requests: [(String, String, [UInt8])] = [
            ("POST", "/v1/agents", RegistrationRequest.make(identity: .generate(), now: registry.now).encode()),
            ("PUT", "/v1/agents/\(agent.did)/prekeys", upload), ("PUT", "/v1/agents/\(agent.did)/home", update),
            ("POST", "/v1/agents/\(home.did)/reputation", Array(#"{"score":0.5,"reason":"r"}"#.utf8)),
            ("POST", "/v1/registry/reputation/session", session), ("DELETE", "/v1/agents/\(home.did)", []),
            ("POST", "/v1/agents/\(home.did)/heartbeat", []),
        ]
        for round in 0..<700 {
            let (method, path, body) = requests[round % requests.count]
            let header = Array(TimestampAuthorization.header(for: agent, now: registry.now).utf8)
            registry.advance(0.01)
            let answer = await registry.send(
                method, round % 3 == 0 ? String(decoding: random.mutation(of: Array(path.utf8)), as: UTF8.self) : path,
                body: round % 5 == 0 ? random.bytes(round) : random.mutation(of: body),
                authorization: String(decoding: round % 2 == 0 ? random.mutation(of: header) : header, as: UTF8.self))
            #expect(answer.status < 500, "\(method) \(path): \(answer.text)")
            #expect((200..<300).contains(answer.status) || !answer.detail.isEmpty)
        }
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").status == 200)
    }
}
