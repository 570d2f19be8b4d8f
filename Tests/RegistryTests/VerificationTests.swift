import EntraTokens
import Foundation
import SignInSupport
import Synchronization
import TestSupport
import Testing
import Transport

@testable import MeshIdentity
@testable import Registry

struct VerificationTests {
    private let document = TokenSigner.document([TokenSigner.first.published()])
    private let signer = TokenSigner.first

    private func makeRegistry(fetch: (@Sendable () async throws -> [UInt8])? = nil) throws -> Fixture {
        let document = self.document
        return try Fixture(
            verifier: EntraVerifier(
                audience: EntraClaims.audience, tenantID: EntraClaims.tenant,
                keys: SigningKeyCache(fetch: fetch ?? { document })))
    }

    private func verify(
        _ agent: Identity, _ changes: [String: Any] = [:], on registry: Fixture, as identity: Identity? = nil
    ) async throws -> Answer {
        let token = signer.token(EntraClaims.make(changes, now: registry.now))
        return try await registry.send(
            "POST", "/v1/registry/verify", json: ["amid": agent.amid, "verification_token": token], as: identity)
    }

    @Test func anAgentWithATokenOfTheTenantBecomesVerified() async throws {
        let registry = try makeRegistry()
        let agent = await registry.register()
        #expect(await registry.send("GET", "/health").json["entra_verify_enabled"] as? Bool == true)
        let answer = try await verify(agent, on: registry)
        #expect(answer.status == 200)
        let time = MeshTimestamp.format(registry.now)
        let found = await registry.send("GET", "/v1/agents/\(agent.did)")
        for json in [answer.json, found.json] {
            #expect(json["did"] as? String == agent.did.canonical)
            #expect(json["tier"] as? String == "verified")
            #expect(json["verified_app_id"] as? String == EntraClaims.application)
            #expect(json["verified_tenant_id"] as? String == EntraClaims.tenant)
            #expect(json["verified_at"] as? String == time)
        }
    }

    @Test func aRefusedTokenNeverLowersTheTier() async throws {
        let registry = try makeRegistry()
        let agent = await registry.register()
        #expect(try await verify(agent, ["exp": 1], on: registry).status == 401)
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").json["tier"] as? String == "anonymous")
        #expect(try await verify(agent, on: registry).status == 200)
        let before = await registry.send("GET", "/v1/agents/\(agent.did)").text
        registry.advance(60)
        let expired = try await verify(agent, ["exp": 1], on: registry)
        #expect(expired.status == 401)
        #expect(expired.detail == "token has expired")
        #expect(try await verify(agent, ["aud": "other"], on: registry).status == 401)
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").text == before)
    }

    @Test func anotherApplicationTakesAVerifiedAgentOnlyWithTheAgentsWord() async throws {
        let registry = try makeRegistry()
        let agent = await registry.register(), other = await registry.register()
        #expect(try await verify(agent, on: registry).status == 200)
        registry.advance(1)
        #expect(try await verify(agent, on: registry).status == 200, "the same application again")
        #expect(try await verify(agent, ["azp": "second"], on: registry).status == 401)
        #expect(try await verify(agent, ["azp": "second"], on: registry, as: other).status == 403)
        let found = await registry.send("GET", "/v1/agents/\(agent.did)")
        #expect(found.json["verified_app_id"] as? String == EntraClaims.application)
        let changed = try await verify(agent, ["azp": "second"], on: registry, as: agent)
        #expect(changed.json["verified_app_id"] as? String == "second")
    }

    @Test func whoCannotBeVerifiedIsToldWhy() async throws {
        let registry = try makeRegistry()
        let agent = await registry.register()
        #expect(try await verify(.generate(), on: registry).status == 404)
        func status(_ token: String) async throws -> Int {
            try await registry.send(
                "POST", "/v1/registry/verify", json: ["amid": agent.amid, "verification_token": token]
            ).status
        }
        #expect(try await status("") == 400)
        #expect(try await status(String(repeating: "x", count: 8192)) == 401)
        #expect(try await status(String(repeating: "x", count: 8193)) == 400)
        #expect(try await registry.send("POST", "/v1/registry/verify", json: ["amid": "x"]).status == 400)
        let revocation = try RevocationCertificate.make(identity: agent, reason: "", now: registry.now)
        let body = Array(try JSONEncoder().encode(revocation))
        #expect(await registry.send("POST", "/v1/agents/\(agent.did)/revoke", body: body).status == 200)
        #expect(try await verify(agent, on: registry).status == 403)
    }

    @Test func withoutTheIssuersKeysNobodyIsVerifiedAndNobodyIsBlamed() async throws {
        struct Down: Error {}
        let registry = try makeRegistry(fetch: { throw Down() })
        let agent = await registry.register()
        let answer = try await verify(agent, on: registry)
        #expect(answer.status == 503)
        #expect(answer.headers["retry-after"] != nil)
        #expect(await registry.send("GET", "/v1/agents/\(agent.did)").json["tier"] as? String == "anonymous")
    }

    @Test func settingsThatWouldBelieveAnybodyAreRefused() throws {
        let url = try ServiceURL(parsing: "http://keys.example/keys")
        #expect(throws: EntraSettingsError.self) { try EntraSettings(audience: "a", tenantID: "t", keysURL: url) }
        #expect(throws: EntraSettingsError.self) { try EntraSettings(audience: "", tenantID: "t") }
        #expect(throws: EntraSettingsError.self) { try EntraSettings(audience: "a", tenantID: "") }
        #expect(throws: EntraSettingsError.self) { try EntraSettings(audience: "a", tenantID: "t/../other") }
        let own = try EntraSettings(audience: "a", tenantID: EntraClaims.tenant)
        #expect(
            "\(own.keysURL)" == "https://login.microsoftonline.com/\(EntraClaims.tenant)/discovery/v2.0/keys")
    }

    @Test func keysComeOverTheNetwork() async throws {
        let loop = try EventLoop(name: "issuer")
        let document = self.document
        let answers = Mutex<[Int]>([503, 200])
        let issuer = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0),
            http: { _ in .bytes(document, status: answers.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }) })
        let settings = try EntraSettings(
            audience: EntraClaims.audience, tenantID: EntraClaims.tenant,
            keysURL: try ServiceURL(parsing: "http://\(issuer.endpoint)/keys"))
        let verifier = settings.verifier(on: loop)
        let now = Date()
        let token = signer.token(EntraClaims.make(now: now))
        let error = await #expect(throws: AccessTokenError.self) { try await verifier.verify(token, now: now) }
        #expect(error == .keysUnavailable("their server answers 503"))
        let application = try? await verifier.verify(token, now: now.addingTimeInterval(20))
        #expect(application?.appID == EntraClaims.application)
        await issuer.close()
        loop.shutdown()
    }
}
