import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

private struct Agreement {
    let initiator: Identity
    let responder: Identity
    let from: String
    let to: String
    let bundle: PrekeyBundle
    let prekeys: PrekeyStore
    let ephemeral: X25519KeyPair
    let secret: [UInt8]
    let associatedData: [UInt8]

    static func all() throws -> [Agreement] {
        try Vectors.objects("x3dh").map { vector in
            let bundle = try vector.object("bundle")
            let signed = try #require(X25519KeyPair(privateKey: try vector.hex("signed_pre_key_private")))
            #expect(signed.publicKey == (try bundle.hex("signed_pre_key")))
            var oneTime: [Int: X25519KeyPair] = [:]
            var published: OneTimePrekey?
            if let id = bundle["one_time_pre_key_id"] as? Int {
                oneTime[id] = X25519KeyPair(privateKey: try vector.hex("one_time_pre_key_private"))
                #expect(oneTime[id]?.publicKey == (try bundle.hex("one_time_pre_key")))
                published = OneTimePrekey(keyID: id, publicKey: try bundle.hex("one_time_pre_key"))
            }
            return Agreement(
                initiator: try identity(seed: try vector.hex("initiator_seed")),
                responder: try identity(seed: try vector.hex("responder_seed")),
                from: try vector.text("initiator"), to: try vector.text("responder"),
                bundle: PrekeyBundle(
                    identityKey: try bundle.hex("identity_key"),
                    identityKeyEd: try bundle.hex("identity_key_ed"),
                    signedPreKey: SignedPrekey(
                        keyID: try #require(bundle["signed_pre_key_id"] as? Int),
                        publicKey: try bundle.hex("signed_pre_key"),
                        signature: try bundle.hex("signed_pre_key_signature")),
                    oneTimePreKey: published),
                prekeys: PrekeyStore(current: .init(id: 0, pair: signed, made: noon), oneTime: oneTime),
                ephemeral: try #require(X25519KeyPair(privateKey: try vector.hex("ephemeral_private"))),
                secret: try vector.hex("shared_secret"), associatedData: try vector.hex("associated_data"))
        }
    }
}

@Test func agreementsMatchTheReferenceOnBothSides() throws {
    for vector in try Agreement.all() {
        try vector.bundle.verify(for: DID(parsing: vector.to))
        let upload = vector.prekeys.upload(identity: vector.responder)
        #expect(
            upload.signedPreKey == vector.bundle.signedPreKey
                && upload.identityKey == vector.bundle.identityKey)

        let ratchet = X25519KeyPair.generate()
        var (first, establishment) = try X3DH.initiate(
            identity: vector.initiator, bundle: vector.bundle, from: vector.from, to: vector.to,
            ephemeral: vector.ephemeral, ratchet: ratchet)
        #expect(first.associatedData == vector.associatedData)
        let step = RatchetKeys.step(
            root: SecretBytes(copying: vector.secret), pair: ratchet, remote: vector.bundle.signedPreKey.publicKey)
        #expect(first.state.root == step?.root && first.state.sendingChain == step?.chain)
        #expect(establishment.ek == vector.ephemeral.publicKey)
        #expect(establishment.otk == vector.bundle.oneTimePreKey?.keyID)

        var prekeys = vector.prekeys
        var second = try X3DH.respond(
            identity: vector.responder, prekeys: &prekeys, establishment: establishment, from: vector.from,
            to: vector.to)
        #expect(second.state.root.array == vector.secret)
        #expect(second.associatedData == vector.associatedData)
        #expect(prekeys.oneTimeCount == 0)
        #expect(try deliver([1, 2], from: &first, to: &second))
        #expect(try deliver([3], from: &second, to: &first))
    }
}

@Test func startStatesOfTheRatchetFollowFromTheAgreement() throws {
    let agreements = try Agreement.all()
    for conversation in try Vectors.objects("ratchet", under: "conversations") {
        let vector = agreements[try #require(conversation["x3dh_case"] as? Int)]
        func start(_ side: String) throws -> RatchetState {
            try StoredState.decode(Vectors.json(try conversation.object("start").object(side))).state
        }
        let (first, establishment) = try X3DH.initiate(
            identity: vector.initiator, bundle: vector.bundle, from: vector.from, to: vector.to,
            ephemeral: vector.ephemeral, ratchet: try start("initiator").selfPair)
        #expect(first.state == (try start("initiator")))
        var prekeys = vector.prekeys
        let second = try X3DH.respond(
            identity: vector.responder, prekeys: &prekeys, establishment: establishment, from: vector.from,
            to: vector.to)
        #expect(second.state == (try start("responder")))
    }
}

@Test func everyChangedBundleIsRefused() throws {
    for vector in try Agreement.all() {
        let did = try DID(parsing: vector.to)
        let bundle = vector.bundle
        for bit in 0..<256 {
            let changed = [
                PrekeyBundle(
                    identityKey: bundle.identityKey.flipping(bit: bit), identityKeyEd: bundle.identityKeyEd,
                    signedPreKey: bundle.signedPreKey, oneTimePreKey: nil),
                PrekeyBundle(
                    identityKey: bundle.identityKey, identityKeyEd: bundle.identityKeyEd.flipping(bit: bit),
                    signedPreKey: bundle.signedPreKey, oneTimePreKey: nil),
                PrekeyBundle(
                    identityKey: bundle.identityKey, identityKeyEd: bundle.identityKeyEd,
                    signedPreKey: SignedPrekey(
                        keyID: 0, publicKey: bundle.signedPreKey.publicKey.flipping(bit: bit),
                        signature: bundle.signedPreKey.signature), oneTimePreKey: nil),
                PrekeyBundle(
                    identityKey: bundle.identityKey, identityKeyEd: bundle.identityKeyEd,
                    signedPreKey: SignedPrekey(
                        keyID: 0, publicKey: bundle.signedPreKey.publicKey,
                        signature: bundle.signedPreKey.signature.flipping(bit: bit * 2)), oneTimePreKey: nil),
            ]
            for changed in changed { #expect(throws: SessionError.self) { try changed.verify(for: did) } }
        }
        // The bundle of somebody else, complete and correctly signed.
        let other = Identity.generate()
        let foreign = try PrekeyStore.make(identity: other, now: noon).bundle(identity: other)
        try foreign.verify(for: other.did)
        #expect(throws: SessionError.otherIdentity) { try foreign.verify(for: did) }
        #expect(throws: SessionError.otherIdentity) {
            try X3DH.initiate(identity: vector.initiator, bundle: foreign, from: vector.from, to: vector.to)
        }
    }
}

@Test func aChangedEstablishmentGivesASessionThatOpensNothing() throws {
    let pair = try Pair()
    for (ik, ek) in [
        (pair.establishment.ik.flipping(bit: 9), pair.establishment.ek),
        (pair.establishment.ik, pair.establishment.ek.flipping(bit: 9)),
    ] {
        var prekeys = pair.prekeys
        var first = pair.first
        var session = try X3DH.respond(
            identity: pair.responder, prekeys: &prekeys,
            establishment: Establishment(ik: ik, ek: ek, otk: nil), from: pair.initiator.did.text,
            to: pair.responder.did.text)
        let message = try first.encrypt([1])
        #expect(throws: SessionError.forged) { try session.decrypt(message) }
    }
    // Small-order points, and names other than those that were agreed on.
    var prekeys = pair.prekeys
    let before = prekeys
    for weak in [
        Establishment(ik: [UInt8](repeating: 0, count: 32), ek: pair.establishment.ek, otk: 3),
        Establishment(ik: pair.establishment.ik, ek: [1] + [UInt8](repeating: 0, count: 31), otk: 3),
    ] {
        #expect(throws: SessionError.weakKey) {
            try X3DH.respond(
                identity: pair.responder, prekeys: &prekeys, establishment: weak,
                from: pair.initiator.did.text,
                to: pair.responder.did.text)
        }
    }
    #expect(throws: SessionError.otherIdentity) {
        try X3DH.respond(
            identity: pair.responder, prekeys: &prekeys, establishment: pair.establishment,
            from: pair.initiator.did.text, to: pair.initiator.did.text)
    }
    #expect(prekeys == before)
}

@Test func aOneTimePrekeyWorksOnce() throws {
    var pair = try Pair()
    let id = try #require(pair.establishment.otk)
    #expect(pair.prekeys.oneTimeCount == PrekeyStore.standardCount - 1)
    #expect(throws: SessionError.unknownOneTimePrekey(id)) {
        try X3DH.respond(
            identity: pair.responder, prekeys: &pair.prekeys, establishment: pair.establishment,
            from: pair.initiator.did.text, to: pair.responder.did.text)
    }
    #expect(pair.prekeys.refill().count == 1)
    #expect(!pair.prekeys.upload(identity: pair.responder).oneTimePreKeys.contains { $0.keyID == id })
}

@Test func aFirstMessagePicksTheSignedPrekeyItWasMadeFor() throws {
    let initiator = Identity.generate()
    let responder = Identity.generate()
    let from = initiator.did.text
    let to = responder.publicKey.agentMeshDID.text
    var prekeys = PrekeyStore.make(identity: responder, now: noon)
    let old = try prekeys.bundle(identity: responder)
    let rotated = noon + PrekeyStore.rotationInterval
    let early = prekeys.rotateSignedPreKeyIfDue(identity: responder, now: rotated - 1)
    let due = prekeys.rotateSignedPreKeyIfDue(identity: responder, now: rotated)
    #expect(!early && due)
    let new = try prekeys.bundle(identity: responder)
    #expect(old.signedPreKey != new.signedPreKey)
    for bundle in [old, new] {
        var prekeys = prekeys
        var (first, establishment) = try X3DH.initiate(
            identity: initiator, bundle: bundle, from: from, to: to)
        var second = try X3DH.respond(
            identity: responder, prekeys: &prekeys, establishment: establishment, from: from, to: to)
        #expect(second.alternate != nil)
        second = try RatchetSession(serialized: second.serialized())
        let before = second.serialized()
        let late = try first.encrypt([9])
        let message = try first.encrypt([1])
        var forged = message
        forged.ciphertext = message.ciphertext.flipping(bit: 200)
        #expect(throws: SessionError.forged) { try second.decrypt(forged) }
        #expect(second.serialized() == before)
        #expect(try second.decrypt(message) == [1])
        #expect(second.alternate == nil)
        #expect(try second.decrypt(late) == [9])
        #expect(try deliver([2], from: &second, to: &first))
    }
    // After the grace period the old one is gone for good.
    let repeated = prekeys.rotateSignedPreKeyIfDue(identity: responder, now: rotated + 1)
    let ended = prekeys.rotateSignedPreKeyIfDue(identity: responder, now: rotated + PrekeyStore.grace + 1)
    #expect(!repeated && ended)
    var (first, establishment) = try X3DH.initiate(identity: initiator, bundle: old, from: from, to: to)
    establishment = Establishment(ik: establishment.ik, ek: establishment.ek, otk: nil)
    var later = prekeys
    later.previous = nil
    var second = try X3DH.respond(
        identity: responder, prekeys: &later, establishment: establishment, from: from, to: to)
    let message = try first.encrypt([1])
    #expect(throws: SessionError.forged) { try second.decrypt(message) }
}

@Test func prekeysReadBackAndIdentifiersAreNeverUsedAgain() throws {
    let owner = Identity.generate()
    var store = PrekeyStore.make(identity: owner, now: noon)
    _ = store.rotateSignedPreKeyIfDue(identity: owner, now: noon + PrekeyStore.rotationInterval)
    let stored = store.serialized()
    var read = try PrekeyStore(serialized: stored)
    #expect(read == store && read.serialized() == stored)
    let known = Set(read.upload(identity: owner).oneTimePreKeys.map(\.keyID))
    #expect(read.addOneTime(count: 3).allSatisfy { !known.contains($0.keyID) })
    #expect(read.addOneTime(count: PrekeyStore.maximumKept).count == PrekeyStore.maximumKept)
    #expect(read.oneTimeCount == PrekeyStore.maximumKept)
    #expect(read.upload(identity: owner).oneTimePreKeys.allSatisfy { !known.contains($0.keyID) })
    var random = SeededRandom(seed: 9)
    for _ in 0..<500 {
        _ = try? PrekeyStore(serialized: random.mutation(of: stored.array))
        #expect((try? PrekeyStore(serialized: random.bytes(64))) == nil)
    }
}

@Test func bundlesAndUploadsTravelAsJSON() throws {
    let owner = Identity.generate()
    let store = PrekeyStore.make(identity: owner, now: noon)
    let upload = store.upload(identity: owner)
    let json = upload.encode()
    #expect(!json.contains(UInt8(ascii: "+")) && !json.contains(UInt8(ascii: "=")))
    #expect(try PrekeyUpload.decode(json) == upload)
    try upload.verify(for: owner.publicKey)
    #expect(throws: SessionError.otherIdentity) { try upload.verify(for: Identity.generate().publicKey) }
    let twice = PrekeyUpload(
        identityKey: upload.identityKey, identityKeyEd: upload.identityKeyEd,
        signedPreKey: upload.signedPreKey,
        oneTimePreKeys: [upload.oneTimePreKeys[0], upload.oneTimePreKeys[0]])
    #expect(throws: SessionError.self) { try twice.verify(for: owner.publicKey) }

    let bundle = try store.bundle(identity: owner)
    #expect(try PrekeyBundle.decode(bundle.encode()) == bundle)
    let last = PrekeyBundle(
        identityKey: bundle.identityKey, identityKeyEd: bundle.identityKeyEd,
        signedPreKey: bundle.signedPreKey,
        oneTimePreKey: nil)
    #expect(String(decoding: last.encode(), as: UTF8.self).contains("\"one_time_pre_key\":null"))
    #expect(try PrekeyBundle.decode(last.encode()) == last)
    var object = try #require(JSONSerialization.jsonObject(with: Data(bundle.encode())) as? [String: Any])
    object["identity_key_ed"] = nil
    #expect(throws: SessionError.bundle("identity_key_ed is missing")) {
        try PrekeyBundle.decode(Vectors.json(object))
    }
    var random = SeededRandom(seed: 10)
    for _ in 0..<500 {
        if let mutated = try? PrekeyBundle.decode(random.mutation(of: bundle.encode())),
            (try? mutated.verify(for: owner.did)) != nil
        {
            #expect(mutated.signedPreKey.publicKey == bundle.signedPreKey.publicKey)
        }
        _ = try? PrekeyUpload.decode(random.mutation(of: json))
    }
}
