import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

@Test func proofsMatchTheReferenceInBothDirections() throws {
    for vector in try Vectors.objects("proofs") {
        let identity = try identity(seed: try vector.hex("seed"))
        let now = try #require(MeshTimestamp.parse(try vector.text("timestamp")))

        let connect = try Vectors.json(try vector.object("connect"))
        #expect(ConnectFrame.make(identity: identity, now: now).encode() == connect)
        #expect(try ConnectFrame.decode(connect).verify(now: now) == identity.publicKey)

        let register = try vector.object("register")
        var made = RegistrationRequest.make(
            identity: identity, capabilities: try #require(register["capabilities"] as? [String]),
            metadata: try #require(register["metadata"] as? [String: String]), now: now)
        #expect(made.did == identity.did.text)
        made.did = nil
        #expect(made.encode() == (try Vectors.json(register)))
        #expect(try RegistrationRequest.decode(Vectors.json(register)).verify(now: now) == identity.publicKey)

        let header = try vector.text("authorization")
        #expect(TimestampAuthorization.header(for: identity, now: now) == header)
        let authorization = try #require(TimestampAuthorization(header: header))
        try authorization.verify(key: identity.publicKey, now: now)
        #expect(authorization.did == identity.did)
    }
}

@Test func everyChangedProofIsRefused() throws {
    let other = Identity.generate()
    for vector in try Vectors.objects("proofs") {
        let now = try #require(MeshTimestamp.parse(try vector.text("timestamp")))
        let connect = try vector.object("connect")
        for (field, value) in connect where !["v", "type"].contains(field) {
            var changed = connect
            changed[field] = nil
            let without = try ConnectFrame.decode(Vectors.json(changed))
            #expect(throws: ProofError.missing(field)) { try without.verify(now: now) }
            changed[field] = try #require(value as? String).changingCharacter(at: 12)
            let frame = try ConnectFrame.decode(Vectors.json(changed))
            #expect(throws: ProofError.self) { try frame.verify(now: now) }
        }
        var stolen = connect
        stolen["public_key"] = Base64.encode(other.publicKey.bytes)
        let frame = try ConnectFrame.decode(Vectors.json(stolen))
        #expect(throws: ProofError.keyMismatch) { try frame.verify(now: now) }

        let register = try vector.object("register")
        for field in ["public_key", "proof", "proof_timestamp"] {
            var changed = register
            changed[field] = nil
            let without = try RegistrationRequest.decode(Vectors.json(changed))
            #expect(throws: ProofError.missing(field)) { try without.verify(now: now) }
            changed[field] = try register.text(field).changingCharacter(at: 17)
            let body = try RegistrationRequest.decode(Vectors.json(changed))
            #expect(throws: ProofError.self) { try body.verify(now: now) }
        }

        let key = try PublicKey(base64: try register.text("public_key"))
        let header = try vector.text("authorization")
        for index in header.indices where index > header.startIndex {
            let changed = header.changingCharacter(at: header.distance(from: header.startIndex, to: index))
            guard let authorization = TimestampAuthorization(header: changed) else { continue }
            #expect(throws: ProofError.self, "\(changed)") { try authorization.verify(key: key, now: now) }
        }
        let authorization = try #require(TimestampAuthorization(header: header))
        #expect(throws: ProofError.keyMismatch) { try authorization.verify(key: other.publicKey, now: now) }
    }
}

extension String {
    /// With one character replaced by another one of the base64url alphabet.
    func changingCharacter(at offset: Int) -> String {
        var characters = Array(self)
        characters[offset] = characters[offset] == "7" ? "3" : "7"
        return String(characters)
    }
}

@Test func proofsHoldForFiveMinutesEitherWay() throws {
    let identity = Identity.generate()
    let frame = ConnectFrame.make(identity: identity, now: noon)
    let body = RegistrationRequest.make(identity: identity, now: noon)
    let header = try #require(
        TimestampAuthorization(header: TimestampAuthorization.header(for: identity, now: noon)))
    for offset in [-300.0, 0, 300] {
        #expect(try frame.verify(now: noon + offset) == identity.publicKey)
        #expect(try body.verify(now: noon + offset) == identity.publicKey)
        try header.verify(key: identity.publicKey, now: noon + offset)
    }
    for (offset, age) in [(-300.5, -301), (301.0, 301), (1e9, 1_000_000_000)] {
        #expect(throws: ProofError.timestampOutOfWindow(age)) { try frame.verify(now: noon + offset) }
        #expect(throws: ProofError.timestampOutOfWindow(age)) { try body.verify(now: noon + offset) }
        #expect(throws: ProofError.timestampOutOfWindow(age)) {
            try header.verify(key: identity.publicKey, now: noon + offset)
        }
    }
    var zoneless = frame
    zoneless.timestamp = "2026-11-24T00:00:00.000"
    zoneless.signature = Base64.encode(identity.sign(zoneless.timestamp))
    #expect(throws: ProofError.timestampUnreadable) { try zoneless.verify(now: noon) }
}

@Test func aNestedProofAndOtherAlphabetsAreAccepted() throws {
    let identity = Identity.generate()
    let frame = ConnectFrame.make(identity: identity, now: noon)
    let signature = try #require(Base64.decode(frame.signature))
    let nested: [String: Any] = [
        "v": 1, "type": "connect", "from": identity.publicKey.agentMeshDID.text,
        "public_key": identity.publicKey.base64URL,
        "auth": ["timestamp": frame.timestamp, "signature": Base64.encodeURL(signature)],
        "supported_versions": ["1.0"],
    ]
    #expect(try ConnectFrame.decode(Vectors.json(nested)).verify(now: noon) == identity.publicKey)
    let header = "ed25519-timestamp \(identity.amid) \(frame.timestamp) \(frame.signature)"
    try #require(TimestampAuthorization(header: header)).verify(key: identity.publicKey, now: noon)
}

@Test func aTokenAndVersionsTravelWithTheConnectFrame() throws {
    var frame = ConnectFrame.make(identity: Identity.generate(), now: noon, token: "shared")
    frame.supportedVersions = [1]
    let read = try ConnectFrame.decode(frame.encode())
    #expect(read.token == "shared" && read.supportedVersions == [1])
    #expect(throws: FrameError.self) { try ConnectFrame.decode([UInt8](repeating: 32, count: 65_537)) }
}

@Test func aRegistrationIsBounded() throws {
    let identity = Identity.generate()
    let many = RegistrationRequest.make(
        identity: identity, capabilities: (0...RegistrationRequest.maximumEntries).map(String.init), now: noon
    )
    #expect(throws: ProofError.malformed("capabilities")) { try many.verify(now: noon) }
    let long = RegistrationRequest.make(
        identity: identity, metadata: ["a": String(repeating: "x", count: 1025)], now: noon)
    #expect(throws: ProofError.malformed("metadata")) { try long.verify(now: noon) }
}

@Test func aSuccessionNeedsBothKeys() throws {
    let old = Identity.generate()
    let new = Identity.generate()
    let third = Identity.generate()
    let certificate = SuccessionCertificate.make(old: old, new: new, reason: "handoff", epoch: 7, now: noon)
    try certificate.verify()
    let json = JSONCoding.encode(certificate)
    let read = try JSONCoding.decode(SuccessionCertificate.self, from: json)
    #expect(read == certificate)
    try read.verify()

    let text = SuccessionCertificate.signedText(
        old: old.did.text, new: new.did.text, epoch: 7, timestamp: certificate.timestamp)
    func made(oldBy: Identity = old, newBy: Identity = new, epoch: UInt64 = 7) -> SuccessionCertificate {
        SuccessionCertificate(
            oldKey: old.publicKey, newKey: new.publicKey, reason: "handoff", epoch: epoch,
            timestamp: certificate.timestamp, signature: oldBy.sign(text), proof: newBy.sign(text))
    }
    #expect(made() == certificate)
    #expect(throws: ProofError.badSignature) { try made(oldBy: third).verify() }
    #expect(throws: ProofError.badSignature) { try made(newBy: third).verify() }
    #expect(throws: ProofError.badSignature) { try made(epoch: 8).verify() }
    let itself = SuccessionCertificate.make(old: old, new: old, reason: "", epoch: 1, now: noon)
    #expect(throws: ProofError.keyMismatch) { try itself.verify() }

    let object = try #require(JSONSerialization.jsonObject(with: Data(json)) as? [String: Any])
    for field in object.keys where field != "reason" && field != "epoch" {
        var changed = object
        changed[field] = try object.text(field).changingCharacter(at: 11)
        #expect(throws: (any Error).self, "\(field)") {
            try JSONCoding.decode(SuccessionCertificate.self, from: Vectors.json(changed)).verify()
        }
    }
}

@Test func randomAndMutatedProofsNeitherPassNorTrap() throws {
    var random = SeededRandom(seed: 5)
    let identity = Identity.generate()
    let connect = ConnectFrame.make(identity: identity, now: noon).encode()
    let register = RegistrationRequest.make(identity: identity, capabilities: ["a"], now: noon).encode()
    let header = Array(TimestampAuthorization.header(for: identity, now: noon).utf8)
    for _ in 0..<1500 {
        if let frame = try? ConnectFrame.decode(random.mutation(of: connect)),
            let key = try? frame.verify(now: noon)
        {
            #expect(key == identity.publicKey)
        }
        if let body = try? RegistrationRequest.decode(random.mutation(of: register)),
            let key = try? body.verify(now: noon)
        {
            #expect(key == identity.publicKey)
        }
        _ = TimestampAuthorization(header: String(decoding: random.mutation(of: header), as: UTF8.self))
        _ = TimestampAuthorization(header: String(decoding: random.bytes(80), as: UTF8.self))
        _ = MeshTimestamp.parse(
            String(decoding: random.mutation(of: Array("2026-11-24T00:00:00.000Z".utf8)), as: UTF8.self))
        _ = MeshTimestamp.parse(String(decoding: random.bytes(24), as: UTF8.self))
    }
    #expect(MeshTimestamp.format(Date(timeIntervalSince1970: .nan)).hasPrefix("1970"))
    #expect(MeshTimestamp.format(Date(timeIntervalSince1970: .infinity)).hasPrefix("9999"))
    #expect(MeshTimestamp.format(Date(timeIntervalSince1970: -1e300)).hasPrefix("0000"))
}
