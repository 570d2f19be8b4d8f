import FoundationEssentials
import MeshIdentity

/// What is measured: each call is one operation through the interface that the rest of the system uses.
final class Work {
    static let messageSize = 256

    let text: [UInt8]
    private let message = [UInt8](repeating: 0x7B, count: messageSize)
    private let (alice, bob) = (Identity.generate(), Identity.generate())
    private let signature: [UInt8]
    private let prekeys: PrekeyStore
    private let bundle: PrekeyBundle
    private let establishment: Establishment
    private var sender: RatchetSession
    private let receiver: RatchetSession
    private var reading: RatchetSession
    /// Read in order, and again from the start.
    private let messages: [RatchetMessage]
    private var next = 0

    init() throws {
        let now = Date(timeIntervalSince1970: 1_800_000_000)
        text = Array(MeshTimestamp.format(now).utf8)
        signature = alice.sign(text)
        var prekeys = PrekeyStore.make(identity: bob, now: now)
        _ = prekeys.refill(to: 1)
        self.prekeys = prekeys
        let upload = prekeys.upload(identity: bob)
        bundle = PrekeyBundle(
            identityKey: upload.identityKey, identityKeyEd: upload.identityKeyEd, signedPreKey: upload.signedPreKey,
            oneTimePreKey: upload.oneTimePreKeys[0])
        let (from, to) = (alice.did.text, bob.did.text)
        var session: RatchetSession
        (session, establishment) = try X3DH.initiate(identity: alice, bundle: bundle, from: from, to: to)
        receiver = try X3DH.respond(
            identity: bob, prekeys: &prekeys, establishment: establishment, from: from, to: to)
        reading = receiver
        let message = message
        messages = try (0..<1_000).map { _ in try session.encrypt(message) }
        sender = session
    }

    func sign() { _ = alice.sign(text) }

    func verify() { precondition(alice.publicKey.isValid(signature: signature, over: text)) }

    func initiate() throws {
        _ = try X3DH.initiate(identity: alice, bundle: bundle, from: alice.did.text, to: bob.did.text)
    }

    func respond() throws {
        // The one-time prekey is back with every copy.
        var prekeys = prekeys
        _ = try X3DH.respond(
            identity: bob, prekeys: &prekeys, establishment: establishment, from: alice.did.text, to: bob.did.text)
    }

    func encrypt() throws { _ = try sender.encrypt(message) }

    func decrypt() throws {
        if next == messages.count { (reading, next) = (receiver, 0) }
        _ = try reading.decrypt(messages[next])
        next += 1
    }
}
