import Foundation
import Storage
import TestSupport
import Testing

@testable import MeshIdentity
@testable import Registry

struct UpkeepTests {
    private func isThere(_ agent: Identity, on registry: Fixture) async -> Bool {
        await registry.send("GET", "/v1/agents/\(agent.did)").status == 200
    }

    @Test func idleAnonymousAgentsGoAndNobodyElse() async throws {
        let registry = try Fixture()
        let idle = await registry.register(), verified = await registry.register(), housed = await registry.register()
        let home = await registry.register(), revoked = await registry.register()
        let update = HomeUpdate.make(agent: housed.did, epoch: 1, home: home.did, signer: housed, now: registry.now)
        let body = Array(try JSONEncoder().encode(update))
        #expect(await registry.send("PUT", "/v1/agents/\(housed.did)/home", body: body).status == 200)
        let application = VerifiedApplication(appID: "a", tenantID: "t")
        #expect(try await registry.store.verify(verified.did, as: application, now: registry.now) != nil)
        let certificate = try RevocationCertificate.make(identity: revoked, reason: "", now: registry.now)
        #expect(try await registry.store.revoke(certificate, now: registry.now) != nil)
        registry.advance(1000)
        let seen = await registry.register()
        let before = registry.now.addingTimeInterval(-500)
        #expect(try await registry.store.removeIdle(before: before, limit: 10) == 1)
        #expect(await !isThere(idle, on: registry))
        for agent in [verified, housed, home, revoked, seen] { #expect(await isThere(agent, on: registry)) }
        #expect(try await registry.store.removeIdle(before: before, limit: 10) == 0)
        for _ in 0..<5 { await registry.register() }
        #expect(try await registry.store.removeIdle(before: registry.now.addingTimeInterval(1), limit: 4) == 4)
        #expect(try await registry.store.removeIdle(before: registry.now.addingTimeInterval(1), limit: 4) == 2)
    }

    @Test func aBackupHoldsWhatWasThereAndIsPrivate() async throws {
        let folder = TemporaryFolder()
        let agent = Identity.generate(), later = Identity.generate()
        let copy = folder.file("copy/registry.db")
        try AtomicFile.makeFolder(folder.file("copy"))
        do {
            let registry = try Fixture(folder: folder)
            await registry.register(agent, capabilities: ["chat"])
            let source = registry.store.database.path
            for _ in 0..<2 { try DatabaseBackup.write(of: source, to: copy, replacing: true) }
            await registry.register(later)
            #expect(throws: StorageError.self) {
                try DatabaseBackup.write(of: source, to: folder.file("absent/registry.db"), replacing: true)
            }
        }
        let mode = try FileManager.default.attributesOfItem(atPath: copy)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let restored = try SQLiteRegistryStore(folder: folder.file("copy"))
        defer { restored.close() }
        #expect(try await restored.agent(agent.did)?.capabilitiesJSON == #"["chat"]"#)
        #expect(try await restored.agent(later.did) == nil)
        #expect(try await restored.logState().size == 1)
    }

    @Test func aSignedRequestIsRefusedAgainAfterARestart() async throws {
        let folder = TemporaryFolder()
        let agent = Identity.generate(), rated = Identity.generate()
        let body = Array(#"{"score":0.9}"#.utf8)
        var header = "", refused = ""
        do {
            let registry = try Fixture(folder: folder)
            await registry.register(agent)
            await registry.register(rated)
            header = TimestampAuthorization.header(for: agent, now: registry.now)
            refused = TimestampAuthorization.header(for: agent, now: registry.now.addingTimeInterval(1))
            let path = "/v1/agents/\(rated.did)/reputation"
            #expect(await registry.send("POST", path, body: body, authorization: header).status == 200)
            registry.advance(2)
            let missing = "/v1/agents/\(Identity.generate().did)/reputation"
            #expect(await registry.send("POST", missing, body: body, authorization: refused).status == 404)
        }
        let registry = try Fixture(folder: folder)
        let path = "/v1/agents/\(rated.did)/reputation"
        let again = await registry.send("POST", path, body: body, authorization: header)
        #expect(again.status == 401)
        #expect(again.detail.contains("replayed"))
        #expect(await registry.send("POST", path, body: body, authorization: refused).status == 200)
    }

    @Test func registrationsHaveARateOfTheirOwn() async throws {
        var limits = RegistryLimits()
        limits.registrationBurst = 2
        limits.registrationsPerSecond = 0.5
        let registry = try Fixture(limits: limits)
        await registry.register()
        let agent = await registry.register()
        let body = RegistrationRequest.make(identity: .generate(), now: registry.now).encode()
        let refused = await registry.send("POST", "/v1/agents", body: body)
        #expect(refused.status == 429)
        #expect(refused.headers["retry-after"] != nil)
        #expect(await isThere(agent, on: registry))
        #expect(await registry.send("POST", "/v1/agents", body: body, from: "192.0.2.1").status == 201)
        registry.advance(2)
        await registry.register()
    }

    @Test func prekeysMayNeedTheWordOfARegisteredAgent() async throws {
        var policy = RegistryPolicy()
        policy.requiresPrekeyAuthorization = true
        let registry = try Fixture(policy: policy)
        let agent = await registry.register(), other = await registry.register()
        let path = "/v1/agents/\(agent.did)/prekeys"
        let upload = try makeUpload(of: agent, oneTime: makeOneTime(0..<3))
        #expect(try await registry.send("PUT", path, json: upload, as: agent).status == 200)
        #expect(await registry.send("GET", path).status == 401)
        #expect(await registry.send("GET", path, as: .generate()).status == 401)
        #expect(await registry.send("GET", path, as: other).status == 200)
    }

    @Test func aKeyWithoutProofIsRegisteredOnlyWhereThatIsAllowed() async throws {
        let key = Identity.generate()
        let old = ["public_key": key.publicKey.base64URL, "did": key.did.text]
        let strict = try Fixture()
        #expect(try await strict.send("POST", "/v1/agents", json: old).status == 401)
        var policy = RegistryPolicy()
        policy.acceptsUnprovenRegistrations = true
        let lenient = try Fixture(policy: policy)
        #expect(try await lenient.send("POST", "/v1/agents", json: old).status == 201)
        #expect(await isThere(key, on: lenient))
        let half = ["public_key": Identity.generate().publicKey.base64URL, "proof": "AAAA"]
        #expect(try await lenient.send("POST", "/v1/agents", json: half).status == 401)
        #expect(try await lenient.send("POST", "/v1/agents", json: ["public_key": "AAAA"]).status == 400)
    }
}
