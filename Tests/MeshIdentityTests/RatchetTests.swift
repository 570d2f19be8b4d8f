import Foundation
import TestSupport
import Testing

@testable import MeshIdentity

/// Two ends of a fresh session; the responder has received nothing yet.
struct Pair {
    let initiator = Identity.generate()
    let responder = Identity.generate()
    var prekeys: PrekeyStore
    var first: RatchetSession
    var second: RatchetSession
    let establishment: Establishment

    init() throws {
        prekeys = PrekeyStore.make(identity: responder, now: noon)
        let bundle = try prekeys.bundle(identity: responder)
        (first, establishment) = try X3DH.initiate(
            identity: initiator, bundle: bundle, from: initiator.did.text, to: responder.did.text)
        second = try X3DH.respond(
            identity: responder, prekeys: &prekeys, establishment: establishment, from: initiator.did.text,
            to: responder.did.text)
    }
}

extension PrekeyStore {
    /// What a registry would answer.
    func bundle(identity: Identity) throws -> PrekeyBundle {
        let upload = upload(identity: identity)
        return PrekeyBundle(
            identityKey: upload.identityKey, identityKeyEd: upload.identityKeyEd,
            signedPreKey: upload.signedPreKey,
            oneTimePreKey: upload.oneTimePreKeys.first)
    }
}

/// Whether what one end seals the other one opens.
func deliver(
    _ plaintext: [UInt8], from sender: inout RatchetSession, to receiver: inout RatchetSession
) throws -> Bool {
    let message = try sender.encrypt(plaintext)
    return try receiver.decrypt(message) == plaintext
}

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

// MARK: Vectors

private struct Conversation {
    var initiator: RatchetSession
    var responder: RatchetSession
    let endInitiator: RatchetState
    let endResponder: RatchetState
    let messages:
        [(sender: String, plaintext: [UInt8], message: RatchetMessage, order: Int, frame: [String: Any])]

    static func all() throws -> [Conversation] {
        let agreements = try Vectors.objects("x3dh")
        return try Vectors.objects("ratchet", under: "conversations").map { conversation in
            let agreement = agreements[try #require(conversation["x3dh_case"] as? Int)]
            let data = try agreement.hex("associated_data")
            func state(_ when: String, _ side: String) throws -> RatchetState {
                try StoredState.decode(Vectors.json(try conversation.object(when).object(side))).state
            }
            let messages = try #require(conversation["messages"] as? [[String: Any]])
            return Conversation(
                initiator: RatchetSession(
                    peer: try agreement.text("responder"), associatedData: data,
                    state: try state("start", "initiator")),
                responder: RatchetSession(
                    peer: try agreement.text("initiator"), associatedData: data,
                    state: try state("start", "responder")),
                endInitiator: try state("end", "initiator"), endResponder: try state("end", "responder"),
                messages: try messages.map { entry in
                    let header = try entry.object("header")
                    let message = RatchetMessage(
                        dh: try header.hex("dh"), pn: UInt32(try #require(header["pn"] as? Int)),
                        n: UInt32(try #require(header["n"] as? Int)), ciphertext: try entry.hex("ciphertext"))
                    #expect(message.header == (try entry.hex("header_bytes")))
                    return (
                        try entry.text("sender"), bytes(try entry.text("plaintext")), message,
                        try #require(entry["delivery_order"] as? Int), try entry.object("frame")
                    )
                })
        }
    }
}

/// The vectors hold the private keys of the first and last ratchet pairs only, so the first chain of each
/// side can be produced and opened, and the end states can be continued; what lies between needs keys nobody
/// kept.
@Test func firstChainsMatchTheReferenceInBothDirections() throws {
    for conversation in try Conversation.all() {
        var initiator = conversation.initiator
        var responder = conversation.responder
        let first = conversation.messages.filter { $0.message.dh == initiator.state.selfPair.publicKey }
        #expect(first.count == 3)
        for entry in first {
            let sealed = try initiator.encrypt(
                entry.plaintext, nonce: Array(entry.message.ciphertext.prefix(12)))
            #expect(sealed == entry.message)
        }
        for entry in first.sorted(by: { $0.order < $1.order }) {
            #expect(try responder.decrypt(entry.message) == entry.plaintext)
        }
        #expect(responder.state.received == 3 && responder.state.skipped.count == 0)
        let replies = conversation.messages.filter { $0.sender == "responder" && $0.message.pn == 0 }
        #expect(replies.count == 3)
        for entry in replies.sorted(by: { $0.order < $1.order }) {
            #expect(try initiator.decrypt(entry.message) == entry.plaintext)
        }
        #expect(initiator.state.previousSent == 3 && initiator.state.sent == 0)
        #expect(initiator.state.receivingChain != nil && initiator.state.skipped.count == 0)
    }
}

@Test func endStatesOfTheReferenceContinueTheConversation() throws {
    for conversation in try Conversation.all() {
        var initiator = conversation.initiator
        var responder = conversation.responder
        initiator.state = conversation.endInitiator
        responder.state = conversation.endResponder
        // The initiator's sending chain is what the responder receives with.
        #expect(initiator.state.sendingChain == responder.state.receivingChain)
        // The responder's last root step follows from the initiator's root.
        let step = RatchetKeys.step(
            root: initiator.state.root, pair: responder.state.selfPair,
            remote: initiator.state.selfPair.publicKey)
        #expect(step?.root == responder.state.root && step?.chain == responder.state.sendingChain)
        for round in 0..<3 {
            let forth = try initiator.encrypt(bytes("forth \(round)"))
            #expect(try responder.decrypt(forth) == bytes("forth \(round)"))
            let back = try responder.encrypt(bytes("back \(round)"))
            #expect(try initiator.decrypt(back) == bytes("back \(round)"))
        }
        #expect(initiator.state.sendingChain != nil)
    }
}

@Test func statesOfTheReferenceReadAndWriteTheSame() throws {
    for conversation in try Vectors.objects("ratchet", under: "conversations") {
        for when in ["start", "end"] {
            for (_, value) in try conversation.object(when) {
                let state = try StoredState.decode(Vectors.json(value)).state
                var text = SecretWriter(capacity: 0)
                text.append("{")
                state.append(to: &text)
                text.append("}")
                #expect(
                    String(decoding: text.finish().array, as: UTF8.self)
                        == String(decoding: try Vectors.json(value), as: UTF8.self))
                var short = try #require(value as? [String: Any])
                for (long, brief) in [
                    ("send_message_number", "n_send"), ("recv_message_number", "n_recv"),
                    ("previous_send_chain_length", "pn"),
                ] { short[brief] = short.removeValue(forKey: long) }
                #expect(try StoredState.decode(Vectors.json(short)).state == state)
            }
        }
    }
}

@Test func everyChangedVectorIsRefusedAndChangesNothing() throws {
    for conversation in try Conversation.all() {
        var responder = conversation.responder
        let first = conversation.messages.filter {
            $0.message.dh == conversation.initiator.state.selfPair.publicKey
        }
        for entry in first.sorted(by: { $0.order < $1.order }) {
            let before = responder.serialized()
            for changed in changes(of: entry.message) {
                #expect(throws: SessionError.self) { try responder.decrypt(changed) }
            }
            #expect(responder.serialized() == before)
            #expect(try responder.decrypt(entry.message) == entry.plaintext)
            // A repetition is a change too: the key is gone.
            let after = responder.serialized()
            #expect(throws: SessionError.forged) { try responder.decrypt(entry.message) }
            #expect(responder.serialized() == after)
        }
    }
}

private func changes(of message: RatchetMessage) -> [RatchetMessage] {
    var changed: [RatchetMessage] = []
    for bit in stride(from: 0, to: message.ciphertext.count * 8, by: 5) {
        var copy = message
        copy.ciphertext = message.ciphertext.flipping(bit: bit)
        changed.append(copy)
    }
    for bit in 0..<256 {
        var copy = message
        copy.dh = message.dh.flipping(bit: bit)
        changed.append(copy)
    }
    for (pn, n) in [
        (1, message.n), (UInt32.max, message.n), (message.pn, message.n + 1), (message.pn, 99),
        (message.pn, 101), (message.pn, UInt32.max), (message.pn, UInt32.max - 1),
    ] as [(UInt32, UInt32)] {
        var copy = message
        copy.pn = pn
        copy.n = n
        changed.append(copy)
    }
    changed.append(RatchetMessage(dh: [], pn: 0, n: 0, ciphertext: message.ciphertext))
    changed.append(RatchetMessage(dh: message.dh, pn: 0, n: 0, ciphertext: []))
    changed.append(
        RatchetMessage(dh: [UInt8](repeating: 0, count: 32), pn: 0, n: 0, ciphertext: message.ciphertext))
    return changed
}

@Test func messageFramesOfTheReferenceReadAndWriteTheSame() throws {
    for conversation in try Conversation.all() {
        for entry in conversation.messages {
            var object = entry.frame
            object["from"] = conversation.responder.peer
            object["to"] = conversation.initiator.peer
            object["id"] = "00000000-0000-4000-8000-000000000000"
            object["ts"] = "2026-11-24T00:00:00.000Z"
            let json = try Vectors.json(object)
            guard case .message(let frame) = try IncomingFrame.decode(json) else {
                Issue.record("not a message")
                continue
            }
            #expect(frame.message == entry.message)
            #expect(frame.encode() == json)
            #expect(JSONCoding.encode(frame) == json)
        }
    }
}

// MARK: Behaviour

@Test func messagesInAnyOrderArriveOnceEach() throws {
    var random = SeededRandom(seed: 6)
    for _ in 0..<12 {
        var pair = try Pair()
        var toFirst: [(RatchetMessage, [UInt8])] = []
        var toSecond: [(RatchetMessage, [UInt8])] = []
        var delivered = 0
        var sent = 0
        for step in 0..<120 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                let text = bytes("first \(step)")
                toSecond.append((try pair.first.encrypt(text), text))
                sent += 1
            case 1 where pair.second.canSend:
                let text = bytes("second \(step)")
                toFirst.append((try pair.second.encrypt(text), text))
                sent += 1
            case 2 where !toSecond.isEmpty:
                let (message, text) = toSecond.remove(at: Int.random(in: 0..<toSecond.count, using: &random))
                #expect(try pair.second.decrypt(message) == text)
                delivered += 1
            case 3 where !toFirst.isEmpty:
                let (message, text) = toFirst.remove(at: Int.random(in: 0..<toFirst.count, using: &random))
                #expect(try pair.first.decrypt(message) == text)
                delivered += 1
            default: break
            }
            if step % 10 == 9 {  // a restart between any two messages
                pair.first = try RatchetSession(serialized: pair.first.serialized())
                pair.second = try RatchetSession(serialized: pair.second.serialized())
            }
        }
        for (message, text) in toSecond { #expect(try pair.second.decrypt(message) == text) }
        for (message, text) in toFirst { #expect(try pair.first.decrypt(message) == text) }
        #expect(delivered + toFirst.count + toSecond.count == sent)
        #expect(pair.first.state.skipped.count == 0 && pair.second.state.skipped.count == 0)
    }
}

@Test func aResponderWaitsForItsFirstMessage() throws {
    var pair = try Pair()
    #expect(!pair.second.canSend)
    #expect(throws: SessionError.notYetReceived) { try pair.second.encrypt([1]) }
    _ = try pair.second.decrypt(pair.first.encrypt([1]))
    #expect(pair.second.canSend)
}

@Test func aHundredMayBeMissingAndNotOneMore() throws {
    var pair = try Pair()
    var messages: [RatchetMessage] = []
    for n in 0...101 { messages.append(try pair.first.encrypt([UInt8(n)])) }
    let before = pair.second.serialized()
    #expect(throws: SessionError.tooManySkipped(101)) { try pair.second.decrypt(messages[101]) }
    #expect(pair.second.serialized() == before)
    #expect(try pair.second.decrypt(messages[100]) == [100])
    #expect(pair.second.state.skipped.count == 100)
    #expect(try pair.second.decrypt(messages[101]) == [101])
    for n in (0..<100).reversed() { #expect(try pair.second.decrypt(messages[n]) == [UInt8(n)]) }
    #expect(pair.second.state.skipped.count == 0)
}

@Test func tooManyMissingInThePreviousChainChangesNothing() throws {
    var pair = try Pair()
    _ = try pair.second.decrypt(pair.first.encrypt([0]))
    for _ in 0..<101 { _ = try pair.first.encrypt([1]) }
    _ = try pair.first.decrypt(pair.second.encrypt([2]))
    let next = try pair.first.encrypt([3])
    #expect(next.pn == 102)
    let before = pair.second.serialized()
    #expect(throws: SessionError.tooManySkipped(101)) { try pair.second.decrypt(next) }
    #expect(pair.second.serialized() == before)
}

@Test func theOldestMissingKeysGoFirst() throws {
    var pair = try Pair()
    var messages: [RatchetMessage] = []
    for n in 0..<12 { messages.append(try pair.first.encrypt([UInt8(n)])) }
    let limits = RatchetLimits(skippedPerStep: 100, skippedKept: 5)
    _ = try pair.second.decrypt(messages[11], limits: limits, pair: X25519KeyPair.generate)
    #expect(pair.second.state.skipped.count == 5)
    pair.second = try RatchetSession(serialized: pair.second.serialized())
    #expect(pair.second.state.skipped.order.map(\.n) == [6, 7, 8, 9, 10])
    #expect(throws: SessionError.forged) { try pair.second.decrypt(messages[5]) }
    #expect(try pair.second.decrypt(messages[6]) == [6])
}

@Test func countersEndWithAnError() throws {
    var pair = try Pair()
    pair.first.state.sent = .max
    #expect(throws: SessionError.exhausted) { try pair.first.encrypt([1]) }
    #expect(throws: SessionError.self) {
        try pair.first.encrypt([UInt8](repeating: 0, count: RatchetSession.maximumMessageSize + 1))
    }
}

@Test func aStoredSessionReadsBackAndDamageIsRefused() throws {
    var pair = try Pair()
    _ = try pair.first.encrypt([0])
    _ = try pair.second.decrypt(pair.first.encrypt([1]))
    let stored = pair.second.serialized()
    #expect(try RatchetSession(serialized: stored).serialized() == stored)
    var object = try #require(JSONSerialization.jsonObject(with: Data(stored.array)) as? [String: Any])
    #expect(object["associated_data"] as? String == Hex.encode(pair.second.associatedData))
    #expect(object["peer"] as? String == pair.initiator.did.text)
    for (field, value) in object where !["skipped_keys", "skipped_order"].contains(field) {
        var changed = object
        switch value {
        case let text as String where field != "peer": changed[field] = String(text.dropLast(2))
        default: changed[field] = ["no"]
        }
        #expect(throws: SessionError.self, "\(field)") {
            try RatchetSession(serialized: Vectors.json(changed))
        }
    }
    object["skipped_keys"] = ["zz:0": "00"]
    #expect(throws: SessionError.self) { try RatchetSession(serialized: Vectors.json(object)) }
    var random = SeededRandom(seed: 7)
    for _ in 0..<1000 {
        // Read or refused, never a trap; what reads still works as a session.
        if var session = try? RatchetSession(serialized: random.mutation(of: stored.array)) {
            _ = try? session.encrypt([1])
            _ = try? session.decrypt(
                RatchetMessage(dh: random.bytes(32), pn: 3, n: 4, ciphertext: random.bytes(60)))
        }
        #expect((try? RatchetSession(serialized: random.bytes(100))) == nil)
    }
}

@Test func randomMessagesChangeNothing() throws {
    var pair = try Pair()
    _ = try pair.second.decrypt(pair.first.encrypt([1]))
    let before = pair.second.serialized()
    var random = SeededRandom(seed: 8)
    for _ in 0..<500 {
        let message = RatchetMessage(
            dh: Bool.random(using: &random) ? pair.first.state.selfPair.publicKey : random.bytes(32),
            pn: UInt32.random(in: 0...200, using: &random), n: UInt32.random(in: 0...200, using: &random),
            ciphertext: random.bytes(Int.random(in: 0..<80, using: &random)))
        #expect(throws: SessionError.self) { try pair.second.decrypt(message) }
    }
    #expect(pair.second.serialized() == before)
}

@Test func sessionsAndPrekeysArePrintedWithoutKeys() throws {
    let pair = try Pair()
    var dumped = ""
    dump(pair.first, to: &dumped)
    dump(pair.prekeys, to: &dumped)
    dump(pair.first.state.selfPair, to: &dumped)
    dumped +=
        "\(pair.first) \(pair.prekeys)" + String(reflecting: pair.second) + String(reflecting: pair.prekeys)
    for secret in [pair.first.state.root, pair.second.state.root, pair.first.state.selfPair.privateKey] {
        let key = secret.array
        #expect(!dumped.contains("\(key[0]), \(key[1]), \(key[2])"))
        #expect(!dumped.contains(Hex.encode(key)))
    }
    // How a dump shows an array.
    #expect(!dumped.contains("elements"))
}
