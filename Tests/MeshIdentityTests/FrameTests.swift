import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

@Test func knocksOfTheReferenceReadAndVerify() throws {
    let agreements = try Vectors.objects("x3dh")
    for (vector, agreement) in zip(try Vectors.objects("knock"), agreements) {
        let json = try Vectors.json(vector)
        guard case .knock(let knock) = try IncomingFrame.decode(json) else {
            Issue.record("not a KNOCK")
            continue
        }
        #expect(knock.encode() == json)
        #expect(knock.intent == Intent(action: Intent.establishSession))
        #expect(try knock.verify() == .keyUnknown)
        let key = try identity(seed: try agreement.hex("initiator_seed")).publicKey
        #expect(try knock.verify(key: key) == .unsigned(key))
        let other = Identity.generate().publicKey
        #expect(throws: ProofError.keyMismatch) { try knock.verify(key: other) }
        #expect(knock.establishment?.ek == (try agreement.hex("ephemeral_public")))
        var changed = vector
        changed["establishment"] = [
            "ik": Base64.encode(try other.x25519()), "ek": try vector.object("establishment").text("ek"),
        ]
        guard case .knock(let stolen) = try IncomingFrame.decode(Vectors.json(changed)) else { continue }
        #expect(throws: ProofError.keyMismatch) { try stolen.verify(key: key) }
    }
}

@Test func ourKnocksProveTheirSender() throws {
    let pair = try Pair()
    let intent = Intent(
        action: "offload", description: "a/b \"c\" é", capabilitiesRequired: ["z", "a"], trustMinimum: 0.5)
    #expect(
        String(decoding: intent.canonicalBytes, as: UTF8.self)
            == #"{"action":"offload","capabilities_required":["z","a"],"description":"a/b \"c\" é","trust_minimum":0.5}"#
    )
    let knock = KnockFrame.make(
        identity: pair.initiator, to: pair.responder.did.text, intent: intent,
        establishment: pair.establishment,
        now: noon)
    let key = pair.initiator.publicKey
    #expect(try knock.verify() == .signed(key))
    guard case .knock(let read) = try IncomingFrame.decode(knock.encode()) else {
        Issue.record("not a KNOCK")
        return
    }
    #expect(read == knock)
    #expect(try read.verify(key: key) == .signed(key))

    var changed = knock
    changed.binding = nil
    changed.intent = Intent(action: "handoff")
    #expect(throws: ProofError.badSignature) { try changed.verify() }
    changed = knock
    changed.publicKey = pair.responder.publicKey
    #expect(throws: ProofError.keyMismatch) { try changed.verify() }
    #expect(throws: ProofError.keyMismatch) { try changed.verify(key: key) }
    changed = knock
    changed.from = pair.responder.did.text
    #expect(throws: ProofError.keyMismatch) { try changed.verify() }
    changed = knock
    changed.signature = "AAAA"
    #expect(throws: ProofError.malformed("signature")) { try changed.verify() }
    changed.signature = nil
    #expect(try changed.verify() == .unsigned(key))
    #expect(!pair.establishment.belongs(to: pair.responder.publicKey))
}

@Test func aKnocksIntentBelongsToItsSession() throws {
    let pair = try Pair()
    func knock(_ action: String) -> KnockFrame {
        KnockFrame.make(
            identity: pair.initiator, to: pair.responder.did.text, intent: Intent(action: action),
            establishment: pair.establishment, now: noon)
    }
    let key = pair.initiator.publicKey
    let chat = knock("chat")
    let handoff = knock("handoff")
    #expect(chat.isBound(by: key) && !chat.isBound(by: pair.responder.publicKey))
    var mixed = chat
    mixed.intent = handoff.intent
    mixed.signature = handoff.signature
    #expect(throws: ProofError.badSignature) { try mixed.verify() }
    mixed.binding = nil  // what a relay can still do: the receiver sees that nothing binds it
    #expect(try mixed.verify() == .signed(key))
    #expect(!mixed.isBound(by: key))
    for change: (inout KnockFrame) -> Void in [
        { $0.to = pair.initiator.did.text }, { $0.id = "other" }, { $0.ts = "2026-11-24T00:00:01.000Z" },
        { $0.from = key.agentMeshDID.text },
        {
            $0.establishment = Establishment(
                ik: pair.establishment.ik, ek: pair.establishment.ek.flipping(bit: 3),
                otk: pair.establishment.otk)
        },
        { $0.establishment = Establishment(ik: pair.establishment.ik, ek: pair.establishment.ek, otk: nil) },
    ] {
        var changed = chat
        change(&changed)
        #expect(throws: ProofError.badSignature) { try changed.verify() }
    }
}

@Test func unknownFieldsOfAnIntentAreSignedToo() throws {
    let signer = Identity.generate()
    let canonical = #"{"action":"x","b":{"a":[1,2.5,null,true],"z":"/"},"é":1}"#
    let json = #"""
        {"v":1,"type":"knock","from":"\#(signer.did)","to":"\#(signer.did)","id":"1",
         "intent":{"é":1, "b":{"z":"\/","a":[1,2.5,null,true]},"action":"x"},
         "signature":"\#(Base64.encodeURL(signer.sign(canonical)))","public_key":"\#(signer.publicKey)"}
        """#
    guard case .knock(let knock) = try IncomingFrame.decode(Array(json.utf8)) else {
        Issue.record("not a KNOCK")
        return
    }
    #expect(String(decoding: knock.intent.canonicalBytes, as: UTF8.self) == canonical)
    #expect(try knock.verify() == .signed(signer.publicKey))
    #expect(knock.establishment == nil)
}

@Test func framesReadWhatTheyWrite() throws {
    let from = Identity.generate().did.text
    let to = Identity.generate().did.text
    let accept = KnockAcceptFrame(
        from: from, to: to, knockID: "k", conditions: .init(maxMessages: 3, allowedActions: ["a"]), now: noon)
    #expect(try IncomingFrame.decode(accept.encode()) == .knockAccept(accept))
    let reject = KnockRejectFrame(from: from, to: to, knockID: "k", reason: "policy_denied", now: noon)
    #expect(try IncomingFrame.decode(reject.encode()) == .knockReject(reject))
    #expect(try IncomingFrame.decode(AckFrame(id: "a\"b").encode()) == .ack(AckFrame(id: "a\"b")))
    let beat = HeartbeatFrame(from: from, now: noon)
    #expect(try IncomingFrame.decode(beat.encode()) == .heartbeat(beat))
    #expect(try IncomingFrame.decode(Array(#"{"type":"error","detail":"no"}"#.utf8)) == .error(detail: "no"))
    #expect(try IncomingFrame.decode(Array(#"{"type":"later"}"#.utf8)) == .unknown(type: "later"))

    var pair = try Pair()
    let message = MessageFrame(
        from: from, to: to, id: "line\n\u{1}\"\\é", now: noon, message: try pair.first.encrypt([1]),
        establishment: pair.establishment)
    #expect(try IncomingFrame.decode(message.encode()) == .message(message))
    #expect(message.encode() == JSONCoding.encode(message))
    #expect(FrameID.make().count == 36 && FrameID.make() != FrameID.make())
    #expect(UUID(uuidString: FrameID.make()) != nil)

    let good = String(decoding: beat.encode(), as: UTF8.self)
    let pending =
        #"{"type":"pending_messages","messages":[\#(good),{"type":"message"},7,{"type":"pending_messages","messages":[]}]}"#
    #expect(try IncomingFrame.decode(Array(pending.utf8)) == .pending([.heartbeat(beat)]))
}

@Test func aMessageInBase64urlIsRead() throws {
    var pair = try Pair()
    let sealed = try pair.first.encrypt([7])
    let json = """
        {"v":1,"type":"message","from":"a","to":"b","id":"1","header":{"dh":"\(Base64.encodeURL(sealed.dh))",\
        "pn":0,"n":0},"ciphertext":"\(Base64.encodeURL(sealed.ciphertext))"}
        """
    guard case .message(let frame) = try IncomingFrame.decode(Array(json.utf8)) else {
        Issue.record("not a message")
        return
    }
    #expect(try pair.second.decrypt(frame.message) == [7])
}

@Test func framesAreBounded() throws {
    #expect(throws: FrameError.tooLarge(11, limit: 10)) {
        try IncomingFrame.decode([UInt8](repeating: 32, count: 11), limit: 10)
    }
    let long = String(repeating: "x", count: 300)
    for frame in [
        #"{"type":"ack","id":"\#(long)"}"#, #"{"type":"ack","id":""}"#, #"{"type":"ack","id":7}"#, "[]", "7",
        "",
        #"{"type":"heartbeat","from":"\#(long)"}"#,
        #"{"type":"pending_messages","messages":[\#(Array(repeating: "1", count: 1001).joined(separator: ","))]}"#,
        #"{"type":"knock","from":"a","to":"b","id":"c","intent":{"action":"x","deep":\#(String(repeating: "[", count: 100))\#(String(repeating: "]", count: 100))}}"#,
        #"{"type":"message","from":"a","to":"b","id":"c","header":{"dh":"AA","pn":0,"n":0},"ciphertext":"AA"}"#,
        #"{"type":"message","from":"a","to":"b","id":"c","header":{"dh":"\#(Base64.encode([UInt8](repeating: 1, count: 32)))","pn":-1,"n":0},"ciphertext":"\#(long)"}"#,
    ] {
        #expect(throws: FrameError.self, "\(frame.prefix(80))") {
            try IncomingFrame.decode(Array(frame.utf8))
        }
    }
}

@Test func randomAndMutatedFramesDoNotTrap() throws {
    var random = SeededRandom(seed: 11)
    var pair = try Pair()
    let knock = KnockFrame.make(
        identity: pair.initiator, to: "did:mesh:x", intent: Intent(action: "a"),
        establishment: pair.establishment,
        now: noon)
    let message = MessageFrame(
        from: "a", to: "b", now: noon, message: try pair.first.encrypt([1]), establishment: pair.establishment
    )
    for _ in 0..<2000 {
        if case .knock(let read) = try? IncomingFrame.decode(random.mutation(of: knock.encode())),
            case .signed(let key) = try? read.verify()
        {
            #expect(key == pair.initiator.publicKey && read.intent == knock.intent)
        }
        _ = try? IncomingFrame.decode(random.mutation(of: message.encode()))
        _ = try? IncomingFrame.decode(random.bytes(40))
    }
}
