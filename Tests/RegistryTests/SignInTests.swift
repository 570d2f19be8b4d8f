import Foundation
import SignInSupport
import TestSupport
import Testing
import Transport

@testable import MeshIdentity
@testable import Registry

extension FakeProvider {
    /// The registry's way to both.
    fileprivate func clients() throws -> [OAuthClient] {
        let secret = SecretBytes(copying: Array(Self.secret.utf8))
        let home = try ServiceURL(parsing: Self.registryURL)
        return [
            try .github(clientID: "gh-client", clientSecret: secret, site: url, api: url + "/api"),
            try .entra(tenantID: EntraClaims.tenant, clientID: "entra-client", clientSecret: secret, site: url),
        ].map { OAuthClient($0, publicURL: home, loop: loop) }
    }
}

struct SignInTests {
    /// One registry, one provider, one agent.
    private struct World {
        let registry: Fixture
        let provider: FakeProvider
        let agent: Identity

        func begin(
            _ name: String, callback: String? = nil, state: String? = "mine", as signer: Identity? = nil
        ) async throws -> Answer {
            registry.advance(1)
            let timestamp = MeshTimestamp.format(registry.now)
            var body = [
                "amid": agent.amid, "provider": name, "timestamp": timestamp,
                "signature": Base64.encode((signer ?? agent).sign(timestamp)),
            ]
            body["callback"] = callback
            body["state"] = state
            return try await registry.send("POST", "/v1/auth/oauth/authorize", json: body)
        }

        /// What a person's browser does, who signs in and is sent back.
        func browse(_ begun: Answer, code: String? = "good code", query: String? = nil) async throws -> Answer {
            let text = try #require(begun.json["authorization_url"] as? String)
            let items = try #require(URLComponents(string: text)?.queryItems)
            let asked = Dictionary(items.map { ($0.name, $0.value ?? "") }) { $1 }
            provider.behaviour.withLock {
                $0.asked = asked
                $0.now = registry.now
            }
            let state = try #require(asked["state"])
            let rest = query ?? "code=\((code ?? "").replacingOccurrences(of: " ", with: "%20"))"
            return await registry.send("GET", "/v1/auth/oauth/callback", query: "\(rest)&state=\(state)")
        }

        func poll(_ begun: Answer) async throws -> Answer {
            try await registry.send(
                "POST", "/v1/auth/oauth/poll", json: ["ticket": begun.json["ticket"] as? String ?? ""])
        }

        func result(_ begun: Answer) async throws -> SignInResult {
            let answer = try await poll(begun)
            try #require(answer.json["status"] as? String == "done", "\(answer.text)")
            let data = try JSONSerialization.data(withJSONObject: try #require(answer.json["result"]))
            return try JSONDecoder().decode(SignInResult.self, from: data)
        }

        func tier() async -> String? { await registry.send("GET", "/v1/agents/\(agent.did)").json["tier"] as? String }
    }

    private func withWorld(_ body: (World) async throws -> Void) async throws {
        let provider = try await FakeProvider.start()
        let result: Result<Void, any Error>
        do {
            let registry = try Fixture(oauth: try provider.clients())
            try await body(World(registry: registry, provider: provider, agent: await registry.register()))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await provider.stop()
        try result.get()
    }

    @Test func aPersonSignsInAndTheClientHearsOfItByAsking() async throws {
        try await withWorld { world async throws -> Void in
            let offered = await world.registry.send("GET", "/v1/auth/oauth/providers")
            #expect((offered.json["providers"] as? [[String: Any]])?.map { $0["name"] as? String } == ["github", "entra"])
            for (name, id, username) in [
                ("github", "583231", "octocat"), ("entra", "person-1", "ada@example.com"),
            ] {
                let begun = try await world.begin(name)
                #expect(begun.status == 200)
                #expect(try await world.poll(begun).json["status"] as? String == "pending")
                let page = try await world.browse(begun)
                #expect(page.status == 200)
                #expect(page.text.contains(username))
                let result = try await world.result(begun)
                #expect(result.success)
                #expect(result.verifiedIdentity?.provider == name)
                #expect(result.verifiedIdentity?.providerID == id)
                #expect(result.verifiedIdentity?.username == username)
                let key = world.registry.logKey.publicKey
                #expect(result.isFrom(key, amid: world.agent.amid, state: "mine"))
                #expect(!result.isFrom(key, amid: world.agent.amid, state: "other"))
                #expect(!result.isFrom(key, amid: "other", state: "mine"))
                #expect(!result.isFrom(world.agent.publicKey, amid: world.agent.amid, state: "mine"))
            }
            #expect(await world.tier() == "verified")
        }
    }

    @Test func theBrowserCarriesTheResultToTheClientsOwnMachine() async throws {
        try await withWorld { world async throws -> Void in
            let begun = try await world.begin("github", callback: "http://127.0.0.1:4711/callback")
            let answer = try await world.browse(begun)
            #expect(answer.status == 302)
            let location = answer.headers["location"] ?? ""
            let prefix = "http://127.0.0.1:4711/callback?result="
            #expect(location.hasPrefix(prefix))
            let bytes = try #require(Base64.decode(String(location.dropFirst(prefix.count))))
            let result = try JSONDecoder().decode(SignInResult.self, from: Data(bytes))
            #expect(result.isFrom(world.registry.logKey.publicKey, amid: world.agent.amid, state: "mine"))
            let swapped = String(decoding: bytes, as: UTF8.self).replacingOccurrences(of: "octocat", with: "mallory")
            let forged = try JSONDecoder().decode(SignInResult.self, from: Data(swapped.utf8))
            #expect(!forged.isFrom(world.registry.logKey.publicKey, amid: world.agent.amid, state: "mine"))
            for callback in [
                "http://evil.example/callback", "https://127.0.0.1:1/", "http://127.0.0.1:1/?a=b", "javascript:alert(1)",
                "http://127.0.0.1@evil.example/", "unix:/tmp/x", "",
            ] {
                #expect(try await world.begin("github", callback: callback).status == 400, "\(callback)")
            }
        }
    }

    @Test func everyRefusalHasItsReasonAndVerifiesNobody() async throws {
        try await withWorld { world async throws -> Void in
            let time = { Int(world.registry.now.timeIntervalSince1970) }
            func reason(_ change: @Sendable (inout FakeProvider.Behaviour) -> Void) async throws -> String? {
                world.provider.behaviour.withLock {
                    $0 = FakeProvider.Behaviour()
                    change(&$0)
                }
                // Past the interval in which the keys are not fetched again.
                world.registry.advance(30)
                let begun = try await world.begin("entra")
                #expect(try await world.browse(begun).status == 403)
                let result = try await world.result(begun)
                #expect(!result.success && result.verifiedIdentity == nil)
                #expect(result.isFrom(world.registry.logKey.publicKey, amid: world.agent.amid, state: "mine"))
                return result.error
            }
            let unproven = "the provider's answer proves nobody: "
            #expect(try await reason { $0.isDown = true } == "the provider did not answer")
            #expect(try await reason { $0.claims = { _ in ["aud": "other"] } } == unproven + "token is for another audience")
            let past = time() - 100
            #expect(try await reason { $0.claims = { _ in ["exp": past] } } == unproven + "token has expired")
            #expect(
                try await reason { $0.signer = .second } == unproven
                    + "token was signed by a key that its issuer does not publish")
            #expect(try await reason { $0.claims = { _ in ["nonce": "old"] } } == unproven + "token has no usable nonce")
            #expect(try await reason { $0.claims = { _ in ["tid": "other"] } } == unproven + "token is of another tenant")
            #expect(try await reason { $0.claims = { _ in ["oid": ""] } } == unproven + "token has no usable sub")
            #expect(await world.tier() == "anonymous")

            world.provider.behaviour.withLock {
                $0 = FakeProvider.Behaviour()
                $0.published = [.second]
                $0.signer = .second
            }
            world.registry.advance(30)
            let rotated = try await world.begin("entra")
            #expect(try await world.browse(rotated).status == 200, "the keys were rotated")
            #expect(await world.tier() == "verified")
        }
    }

    @Test func whatABrowserBringsIsNotBelieved() async throws {
        try await withWorld { world async throws -> Void in
            let begun = try await world.begin("github")
            #expect(try await world.browse(begun, code: "bad").status == 403)
            #expect(try await world.result(begun).error == "the provider refused: bad_verification_code")
            #expect(try await world.browse(begun).status == 400, "a state is good once")
            let denied = try await world.begin("github")
            let page = try await world.browse(denied, query: "error=%3Cscript%3Ealert(1)%3C/script%3E")
            #expect(page.status == 403)
            #expect(!page.text.contains("<script>"))
            let silent = try await world.begin("github")
            #expect(try await world.browse(silent, query: "x=y").status == 403)
            let stranger = await world.registry.send(
                "GET", "/v1/auth/oauth/callback", query: "code=good%20code&state=\(SignIns.secret())")
            #expect(stranger.status == 400)
            #expect(await world.registry.send("GET", "/v1/auth/oauth/callback").status == 400)
            let slow = try await world.begin("github")
            world.registry.advance(601)
            #expect(try await world.browse(slow).status == 400)
            #expect(try await world.poll(slow).status == 404)
            #expect(await world.tier() == "anonymous")
        }
    }

    @Test func onlyTheAgentItselfBeginsASignIn() async throws {
        try await withWorld { world async throws -> Void in
            #expect(try await world.begin("github", as: .generate()).status == 401)
            #expect(try await world.begin("other").status == 400)
            #expect(try await world.begin("github", state: String(repeating: "s", count: 129)).status == 400)
            let timestamp = MeshTimestamp.format(world.registry.now)
            let body = [
                "amid": world.agent.amid, "provider": "github", "timestamp": timestamp,
                "signature": Base64.encode(world.agent.sign(timestamp)),
            ]
            let path = "/v1/auth/oauth/authorize", bytes = Array(try JSONEncoder().encode(body))
            #expect(await world.registry.send("POST", path, body: bytes).status == 200)
            #expect(await world.registry.send("POST", path, body: bytes).status == 401, "replayed")
            world.registry.advance(301)
            #expect(await world.registry.send("POST", path, body: bytes).status == 401)
        }
    }

    @Test func signInsAreBounded() {
        let signIns = SignIns(limit: 2)
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        func begin(at seconds: Double) -> String? {
            let now = start.addingTimeInterval(seconds)
            return signIns.begin(
                SignIns.SignIn(
                    agent: Identity.generate().publicKey, amid: "a", provider: "p", state: "", callback: nil,
                    verifier: "", nonce: "", endsAt: now.addingTimeInterval(600)), now: now)?.state
        }
        #expect(begin(at: 0) != nil)
        #expect(begin(at: 1) != nil)
        #expect(begin(at: 2) == nil)
        #expect(begin(at: 600) != nil)
        #expect(begin(at: 600) == nil)
    }
}
