import Foundation
import SignInSupport
import Synchronization
import TestSupport
import Testing

@testable import MeshIdentity

struct EntraVerifierTests {
    let now = Date(timeIntervalSince1970: 1_800_000_000)
    let signer = TokenSigner.first

    private func verifier(audience: String = EntraClaims.audience, _ keys: [[String: Any]]? = nil) -> EntraVerifier {
        let document = TokenSigner.document(keys ?? [signer.published()])
        return EntraVerifier(
            audience: audience, tenantID: EntraClaims.tenant, keys: SigningKeyCache { document })
    }

    private func outcome(of token: String, by verifier: EntraVerifier? = nil) async -> AccessTokenError? {
        do throws(AccessTokenError) {
            _ = try await (verifier ?? self.verifier()).verify(token, now: now)
            return nil
        } catch {
            return error
        }
    }

    private func outcome(_ changes: [String: Any]) async -> AccessTokenError? {
        await outcome(of: signer.token(EntraClaims.make(changes, now: now)))
    }

    @Test func aTokenOfTheTenantNamesItsApplication() async throws {
        let expected = VerifiedApplication(appID: EntraClaims.application, tenantID: EntraClaims.tenant)
        let token = signer.token(EntraClaims.make(now: now))
        #expect(try await verifier().verify(token, now: now) == expected)
        let older = signer.token(
            EntraClaims.make(
                [
                    "iss": "https://sts.windows.net/\(EntraClaims.tenant)/", "azp": NSNull(),
                    "appid": EntraClaims.application, "aud": ["api://other", EntraClaims.audience],
                    "tid": EntraClaims.tenant.uppercased(),
                ], now: now))
        let byScope = verifier(audience: "api://agentmesh/.default")
        #expect(try await byScope.verify(older, now: now) == expected)
    }

    @Test func everyClaimIsChecked() async {
        let time = Int(now.timeIntervalSince1970)
        #expect(await outcome(["exp": time - 60]) == .expired)
        #expect(await outcome(["exp": time - 59]) == nil)
        #expect(await outcome(["exp": NSNull()]) == .missing("exp"))
        #expect(await outcome(["nbf": time + 61]) == .notYetValid)
        #expect(await outcome(["nbf": time + 60]) == nil)
        #expect(await outcome(["nbf": NSNull()]) == nil)
        #expect(await outcome(["aud": "api://other"]) == .wrongAudience)
        #expect(await outcome(["aud": ["api://other"]]) == .wrongAudience)
        #expect(await outcome(["aud": NSNull()]) == .wrongAudience)
        let other = "00000000-0000-4000-8000-000000000002"
        #expect(await outcome(["tid": other]) == .wrongTenant)
        #expect(await outcome(["tid": NSNull()]) == .missing("tid"))
        #expect(await outcome(["iss": "https://login.microsoftonline.com/\(other)/v2.0"]) == .wrongIssuer)
        #expect(await outcome(["iss": "https://evil.example/\(EntraClaims.tenant)/v2.0"]) == .wrongIssuer)
        #expect(await outcome(["iss": NSNull()]) == .missing("iss"))
        #expect(await outcome(["azp": NSNull()]) == .missing("azp"))
        #expect(await outcome(["azp": ""]) == .missing("azp"))
        #expect(await outcome(["azp": String(repeating: "a", count: 129)]) == .missing("azp"))
        for bad: [String: Any] in [["exp": "soon"], ["aud": 7], ["tid": ["a"]], ["iss": 1]] {
            guard case .malformed = await outcome(bad) else {
                Issue.record("\(bad) was not found malformed")
                continue
            }
        }
    }

    @Test func onlyRS256Passes() async {
        let claims = EntraClaims.make(now: now)
        for algorithm in ["none", "None", "HS256", "RS512", "PS256", "ES256", ""] {
            #expect(await outcome(of: signer.token(claims, header: ["alg": algorithm])) == .algorithm)
        }
        // What a reader falls for that takes the public key for a shared secret, or no signature for a good one.
        let header = TokenSigner.part(["alg": "HS256", "kid": signer.id])
        let signed = header + "." + TokenSigner.part(claims)
        let modulus = Array((signer.published()["n"] as? String ?? "").utf8)
        let code = HMACSHA256.authenticate(Array(signed.utf8), key: SecretBytes(copying: SHA256Digest.hash(modulus))).withUnsafeBytes { Array($0) }
        #expect(await outcome(of: signed + "." + Base64.encodeURL(code)) == .algorithm)
        let unsigned = TokenSigner.part(["alg": "none", "kid": signer.id]) + "." + TokenSigner.part(claims) + "."
        #expect(await outcome(of: unsigned) == .algorithm)
    }

    @Test func theSignatureIsOfTheKeyThatTheTokenNames() async {
        let claims = EntraClaims.make(now: now)
        let stranger = TokenSigner.second
        #expect(await outcome(of: stranger.token(claims)) == .unknownKey)
        #expect(await outcome(of: stranger.token(claims, header: ["kid": signer.id])) == .badSignature)
        let both = verifier([signer.published(), stranger.published()])
        #expect(await outcome(of: stranger.token(claims), by: both) == nil)
        #expect(await outcome(of: stranger.token(claims, header: ["kid": signer.id]), by: both) == .badSignature)
        for kid: Any in [NSNull(), "", String(repeating: "k", count: 257)] {
            #expect(await outcome(of: signer.token(claims, header: ["kid": kid])) == .missing("kid"))
        }
        let critical = signer.token(claims, header: ["crit": ["exp"]])
        #expect(await outcome(of: critical) == .malformed("unknown critical header"))
        let parts = signer.token(claims).split(separator: ".").map(String.init)
        let raised = TokenSigner.part(EntraClaims.make(["azp": "other"], now: now))
        #expect(await outcome(of: "\(parts[0]).\(raised).\(parts[2])") == .badSignature)
        #expect(await outcome(of: "\(parts[0]).\(parts[1]).AAAA") == .badSignature)
    }

    @Test func textThatIsNoTokenIsRefusedByValue() async {
        let token = signer.token(EntraClaims.make(now: now))
        for text in ["", ".", "..", "...", "a.b", "a.b.c", token + ".", token + "=", " " + token, token + "\n", "e30.e30.AAAA"] {
            #expect(await outcome(of: text) != nil, "\(text)")
        }
        let limit = 16_384
        let padded = EntraClaims.make(["pad": String(repeating: "x", count: limit)], now: now)
        guard case .tooLong(let size, limit) = await outcome(of: signer.token(padded)) else {
            Issue.record("a token above the bound was read")
            return
        }
        #expect(size > limit)
        let fitting = EntraClaims.make(["pad": String(repeating: "x", count: 11_000)], now: now)
        #expect(await outcome(of: signer.token(fitting)) == nil)
        let deep = String(repeating: "[", count: 5000)
        #expect(await outcome(of: "\(Base64.encodeURL(Array(deep.utf8))).e30.AAAA") != nil)
    }

    @Test func noMutationOfATokenPasses() async {
        var random = SeededRandom(seed: 5)
        let verifier = self.verifier()
        let token = Array(signer.token(EntraClaims.make(now: now)).utf8)
        for _ in 0..<400 {
            let mutated = random.mutation(of: token)
            guard mutated != token else { continue }
            #expect(await outcome(of: String(decoding: mutated, as: UTF8.self), by: verifier) != nil)
        }
    }

    @Test func aKeySetHoldsWhatCanVerifyRS256() throws {
        func keys(_ published: [[String: Any]]) throws -> [String] {
            try JSONWebKeySet(parsing: TokenSigner.document(published)).keys.keys.sorted()
        }
        let good = signer.published()
        func changed(_ name: String, _ value: Any) -> [String: Any] {
            good.merging([name: value, "kid": "bad"]) { $1 }
        }
        let bad: [[String: Any]] = [
            changed("kty", "EC"), changed("use", "enc"), changed("alg", "RS512"), changed("n", "AQAB"),
            changed("n", "!"), changed("e", "AQ"), changed("e", "Ag"), changed("e", ""),
            good.merging(["kid": NSNull()]) { $1 }.filter { !($0.value is NSNull) },
            TokenSigner(id: "weak", bits: 1024).published(),
        ]
        #expect(try keys(bad + [good]) == [signer.id])
        #expect(throws: AccessTokenError.self) { try keys(bad) }
        #expect(throws: AccessTokenError.self) { try keys((0..<65).map { signer.published(id: "\($0)") }) }
        let long = TokenSigner.document([good.merging(["pad": String(repeating: "x", count: 256 << 10)]) { $1 }])
        #expect(throws: AccessTokenError.self) { try JSONWebKeySet(parsing: long) }
        var random = SeededRandom(seed: 6)
        let document = TokenSigner.document([good])
        for _ in 0..<300 { _ = try? JSONWebKeySet(parsing: random.mutation(of: document)) }
    }
}
