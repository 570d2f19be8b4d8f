import EntraTokens
import Foundation
import MeshIdentity
import SignInSupport
import Synchronization
import Testing
import Transport

@testable import Relay

/// Relays that admit applications by their access tokens, against an issuer of real RS256 tokens.
struct EntraTests {
    private func run(
        _ body: (TestRelay, FakeProvider) async throws -> Void
    ) async throws {
        let issuer = try await FakeProvider.start()
        let settings = try EntraSettings(
            audience: EntraClaims.audience, tenantID: EntraClaims.tenant,
            keysURL: try ServiceURL(parsing: issuer.url + "/\(EntraClaims.tenant)/discovery/v2.0/keys"))
        let result: Result<Void, any Error>
        do {
            try await TestRelay.run(configure: { $0.entra = settings }) { try await body($0, issuer) }
            result = .success(())
        } catch { result = .failure(error) }
        await issuer.stop()
        try result.get()
    }

    private func code(of token: String?, on relay: TestRelay) async throws -> Int {
        let client = MeshClient()
        try await client.connect(relay, token: token)
        return try await client.closeCode()
    }

    @Test func anApplicationOfTheTenantIsAdmittedAndCountsAsVerified() async throws {
        try await run { relay, _ in
            let token = TokenSigner.first.token(EntraClaims.make(now: Date()))
            let alice = MeshClient(), bob = MeshClient()
            try await alice.join(relay, token: token)
            try await bob.join(relay, token: token)
            #expect(relay.metric("kars_relay_verified_agents") == 2)
            let health = try JSONSerialization.jsonObject(with: Data(try await relay.get("/health").body))
            #expect((health as? [String: Any])?["entra_verify_enabled"] as? Bool == true)
            try await alice.leave()
            try await bob.leave()
        }
    }

    @Test func everyOtherTokenIsRefusedWith4003() async throws {
        try await run { relay, issuer in
            let now = Date()
            let wrong: [String?] = [
                nil, "", "secret", String(repeating: "x", count: 20_000),
                TokenSigner.first.token(EntraClaims.make(["aud": "api://other"], now: now)),
                TokenSigner.first.token(EntraClaims.make(["tid": "other"], now: now)),
                TokenSigner.first.token(EntraClaims.make(["iss": "https://evil.example"], now: now)),
                TokenSigner.first.token(EntraClaims.make(now: now.addingTimeInterval(-7200))),
                TokenSigner.second.token(EntraClaims.make(now: now)),
            ]
            for token in wrong {
                let code = try await code(of: token, on: relay)
                #expect(code == 4003, "\(token?.prefix(20) ?? "none")")
            }
            #expect(relay.metric("kars_relay_connections_closed_total{reason=\"unauthorized\"}") == wrong.count)
            #expect(relay.metric("kars_relay_connected_agents") == 0)
        }
    }

    @Test func aTokenDoesNotReplaceTheProofOfTheKey() async throws {
        try await run { relay, issuer in
            let client = MeshClient()
            try await client.connect(
                relay, as: Identity.generate().did.text, token: TokenSigner.first.token(EntraClaims.make(now: Date())))
            let code = try await client.closeCode()
            #expect(code == 4005)
        }
    }

    @Test func whileTheIssuerIsAwayNobodyIsLetInAndNobodyIsBlamed() async throws {
        try await run { relay, issuer in
            issuer.behaviour.withLock { $0.isDown = true }
            let token = TokenSigner.first.token(EntraClaims.make(now: Date()))
            let code = try await code(of: token, on: relay)
            #expect(code == 1013)
            #expect(relay.metric("kars_relay_connections_closed_total{reason=\"issuer_unavailable\"}") == 1)
        }
    }

    @Test func noSharedTokenStandsBesideEntra() throws {
        var configuration = RelayConfiguration(dataFolder: "unused")
        configuration.entra = try EntraSettings(audience: "a", tenantID: "t")
        configuration.sharedToken = Array("secret".utf8)
        #expect(throws: RelayError.self) { try configuration.validate() }
    }
}
