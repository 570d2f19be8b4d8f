import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct PrekeysTests {
    private func path(_ agent: Identity) -> String { "/v1/agents/\(agent.did)/prekeys" }

    private func fetchedID(_ answer: Answer) -> Int? {
        (answer.json["one_time_pre_key"] as? [String: Any])?["key_id"] as? Int
    }

    @Test func anUploadedBundleComesBackAsItWasAndConsumesOneKey() async throws {
        let registry = try Fixture()
        for encode in [Base64.encode, Base64.encodeURL] {
            let agent = await registry.register()
            let signed = RandomBytes.make(32)
            let keys = makeOneTime(1..<3)
            let upload = try makeUpload(of: agent, signedID: 9, signedKey: signed, oneTime: keys, encode: encode)
            let stored = try await registry.send("PUT", path(agent), json: upload, as: agent)
            #expect(stored.status == 200)
            #expect(stored.json["otk_count"] as? Int == 2)
            #expect(stored.json["did"] as? String == agent.did.canonical)
            let bundle = await registry.send("GET", path(agent))
            #expect(bundle.status == 200)
            #expect(bundle.json["identity_key_ed"] as? String == agent.publicKey.base64URL)
            #expect(bundle.json["identity_key"] as? String == Base64.encodeURL(try agent.publicKey.x25519()))
            let signedAnswer = bundle.json["signed_pre_key"] as? [String: Any]
            #expect(signedAnswer?["key_id"] as? Int == 9)
            #expect(signedAnswer?["public_key"] as? String == Base64.encodeURL(signed))
            #expect(signedAnswer?["signature"] as? String == Base64.encodeURL(agent.sign(signed)))
            let oneTime = bundle.json["one_time_pre_key"] as? [String: Any]
            #expect(oneTime?["key_id"] as? Int == 1)
            #expect(oneTime?["public_key"] as? String == Base64.encodeURL(keys[0].key))
            #expect(fetchedID(await registry.send("GET", path(agent))) == 2)
            let last = await registry.send("GET", path(agent))
            #expect(last.status == 200)
            #expect(last.json["one_time_pre_key"] is NSNull)
        }
    }

    @Test func twoHundredFetchesAtOnceGetEachKeyOnce() async throws {
        var limits = RegistryLimits()
        limits.prekeyBurst = 1000
        let registry = try Fixture(limits: limits)
        let agent = await registry.register()
        let upload = try makeUpload(of: agent, oneTime: makeOneTime(0..<150))
        #expect(try await registry.send("PUT", path(agent), json: upload, as: agent).status == 200)
        let fetched = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<200 {
                group.addTask { fetchedID(await registry.send("GET", path(agent))) }
            }
            return await group.reduce(into: [Int?]()) { $0.append($1) }
        }
        let ids = fetched.compactMap { $0 }
        #expect(fetched.count == 200)
        #expect(ids.sorted() == Array(0..<150))
    }

    @Test func aGreedyCallerGetsBundlesWithoutKeys() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let upload = try makeUpload(of: agent, oneTime: makeOneTime(0..<50))
        _ = try await registry.send("PUT", path(agent), json: upload, as: agent)
        var got = 0
        for _ in 0..<30 {
            let answer = await registry.send("GET", path(agent), from: "192.0.2.1")
            #expect(answer.status == 200)
            if fetchedID(answer) != nil { got += 1 }
        }
        #expect(got == 10)
        #expect(fetchedID(await registry.send("GET", path(agent), from: "192.0.2.2")) != nil)
        registry.advance(60)
        #expect(fetchedID(await registry.send("GET", path(agent), from: "192.0.2.1")) != nil)
        #expect(fetchedID(await registry.send("GET", path(agent), from: "192.0.2.1")) == nil)
    }

    @Test func ourOwnPrekeysAreAcceptedAndStartASession() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let prekeys = PrekeyStore.make(identity: agent, now: registry.now)
        let body = prekeys.upload(identity: agent).encode()
        let stored = await registry.send("PUT", path(agent), body: body, as: agent)
        #expect(stored.json["otk_count"] as? Int == PrekeyStore.standardCount)
        let answer = await registry.send("GET", path(agent))
        let bundle = try PrekeyBundle.decode(Array(answer.text.utf8))
        #expect(try bundle.verify(for: agent.did) == agent.publicKey)
        #expect(bundle.oneTimePreKey != nil)
    }

    @Test func aRepeatedUploadBringsNoUsedKeyBack() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let keys = makeOneTime(0..<3)
        let signed = RandomBytes.make(32)
        let upload = try makeUpload(of: agent, signedKey: signed, oneTime: keys)
        _ = try await registry.send("PUT", path(agent), json: upload, as: agent)
        #expect(fetchedID(await registry.send("GET", path(agent))) == 0)
        registry.advance(1)
        let again = try await registry.send("PUT", path(agent), json: upload, as: agent)
        #expect(again.json["otk_count"] as? Int == 2)
        #expect(fetchedID(await registry.send("GET", path(agent))) == 1)
        registry.advance(1)
        let more = try makeUpload(of: agent, signedKey: signed, oneTime: keys + makeOneTime(3..<5))
        #expect(try await registry.send("PUT", path(agent), json: more, as: agent).json["otk_count"] as? Int == 3)
    }

    @Test func aClientThatStartsAfreshLeavesNoKeysItCannotOpen() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let before = try makeUpload(of: agent, signedID: 1, oneTime: makeOneTime(0..<20))
        _ = try await registry.send("PUT", path(agent), json: before, as: agent)
        registry.advance(1)
        let fresh = makeOneTime(0..<2)
        let after = try makeUpload(of: agent, signedID: 1, oneTime: fresh)
        let answer = try await registry.send("PUT", path(agent), json: after, as: agent)
        #expect(answer.json["otk_count"] as? Int == 2)
        let bundle = await registry.send("GET", path(agent))
        let key = (bundle.json["one_time_pre_key"] as? [String: Any])?["public_key"] as? String
        #expect(key == Base64.encodeURL(fresh[0].key))
    }

    @Test func keysAreBoundedByUploadAndInAll() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let signed = RandomBytes.make(32)
        let tooMany = try makeUpload(of: agent, oneTime: makeOneTime(0..<201))
        #expect(try await registry.send("PUT", path(agent), json: tooMany, as: agent).status == 400)
        var count: Int?
        for batch in 0..<6 {
            registry.advance(1)
            let upload = try makeUpload(
                of: agent, signedKey: signed, oneTime: makeOneTime(batch * 200..<(batch + 1) * 200))
            count = try await registry.send("PUT", path(agent), json: upload, as: agent).json["otk_count"] as? Int
        }
        #expect(count == 1000)
        #expect(fetchedID(await registry.send("GET", path(agent))) == 200)
    }

    @Test func badUploadsGetTheirStatusAndChangeNothing() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let other = await registry.register()
        let good = try makeUpload(of: agent, oneTime: makeOneTime(0..<2))
        func status(_ change: (inout [String: Any]) -> Void) async throws -> Int {
            var upload = good
            change(&upload)
            registry.advance(0.01)
            return try await registry.send("PUT", path(agent), json: upload, as: agent).status
        }
        #expect(try await status { $0["identity_key_ed"] = nil } == 400)
        #expect(try await status { $0["identity_key_ed"] = other.publicKey.base64URL } == 400)
        #expect(try await status { $0["identity_key"] = Base64.encodeURL([UInt8](repeating: 9, count: 32)) } == 400)
        #expect(try await status { $0["identity_key"] = "?" } == 400)
        #expect(try await status { $0["signed_pre_key"] = ["key_id": 1] } == 400)
        #expect(
            try await status {
                var signed = $0["signed_pre_key"] as! [String: Any]
                signed["signature"] = Base64.encodeURL(other.sign([1]))
                $0["signed_pre_key"] = signed
            } == 400)
        let key = Base64.encodeURL(RandomBytes.make(32))
        #expect(try await status { $0["one_time_pre_keys"] = [["key_id": 1, "public_key": "AAAA"]] } == 400)
        #expect(
            try await status {
                $0["one_time_pre_keys"] = [["key_id": 1, "public_key": key], ["key_id": 1, "public_key": key]]
            } == 400)
        #expect(await registry.send("GET", path(agent)).status == 404)
        #expect(try await registry.send("PUT", path(agent), json: good).status == 401)
        #expect(try await registry.send("PUT", path(agent), json: good, as: other).status == 403)
        let nobody = Identity.generate()
        #expect(try await registry.send("PUT", path(nobody), json: good, as: agent).status == 404)
        #expect(await registry.send("GET", path(nobody)).status == 404)
        #expect(try await status { _ in } == 200)
    }

    @Test func aSignedUploadIsCarriedOutOnce() async throws {
        let registry = try Fixture()
        let agent = await registry.register()
        let upload = try makeUpload(of: agent, oneTime: makeOneTime(0..<1))
        let header = TimestampAuthorization.header(for: agent, now: registry.now)
        let body = Array(try JSONSerialization.data(withJSONObject: upload))
        #expect(await registry.send("PUT", path(agent), body: body, authorization: header).status == 200)
        let replayed = await registry.send("PUT", path(agent), body: body, authorization: header)
        #expect(replayed.status == 401)
        #expect(replayed.detail.hasPrefix("replayed"))
    }
}
