/// The Double Ratchet itself (AgentMesh wire §4): a value; a caller that works on a copy can throw it away. A key is
/// wiped when no copy holds it any more.
struct RatchetState: Sendable, Equatable {
    var selfPair: X25519KeyPair
    var remote: [UInt8]?
    var root: SecretBytes
    var sendingChain: SecretBytes?
    var receivingChain: SecretBytes?
    var sent: UInt32 = 0
    var received: UInt32 = 0
    var previousSent: UInt32 = 0
    var skipped = SkippedKeys()

    /// The responder's start: its signed prekey as ratchet pair and no chain.
    init(responder pair: X25519KeyPair, secret: SecretBytes) {
        selfPair = pair
        root = secret
    }

    /// The initiator's start: a first sending step towards the responder's signed prekey.
    init(initiator pair: X25519KeyPair, secret: SecretBytes, remote: [UInt8]) throws(SessionError) {
        guard let step = RatchetKeys.step(root: secret, pair: pair, remote: remote) else { throw .weakKey }
        selfPair = pair
        self.remote = remote
        root = step.root
        sendingChain = step.chain
    }

    init(
        selfPair: X25519KeyPair, remote: [UInt8]?, root: SecretBytes, sendingChain: SecretBytes?,
        receivingChain: SecretBytes?,
        sent: UInt32, received: UInt32, previousSent: UInt32, skipped: SkippedKeys
    ) {
        self.selfPair = selfPair
        self.remote = remote
        self.root = root
        self.sendingChain = sendingChain
        self.receivingChain = receivingChain
        self.sent = sent
        self.received = received
        self.previousSent = previousSent
        self.skipped = skipped
    }

    mutating func encrypt(
        _ plaintext: [UInt8], associatedData: [UInt8], nonce: [UInt8]
    ) throws(SessionError) -> RatchetMessage {
        guard let chain = sendingChain else { throw .notYetReceived }
        guard sent < UInt32.max else { throw .exhausted }
        let header = RatchetMessage.header(dh: selfPair.publicKey, pn: previousSent, n: sent)
        let box = ChaChaPoly.seal(
            plaintext, key: RatchetKeys.messageKey(of: chain), nonce: nonce, associatedData: associatedData + header)
        let message = RatchetMessage(dh: selfPair.publicKey, pn: previousSent, n: sent, ciphertext: box)
        sendingChain = RatchetKeys.nextChain(after: chain)
        sent += 1
        return message
    }

    /// Opens a message. After a throw the value must be thrown away.
    ///
    /// - Parameter pair: what a Diffie-Hellman step takes as its new pair.
    mutating func decrypt(
        _ message: RatchetMessage, associatedData: [UInt8], limits: RatchetLimits, pair: () -> X25519KeyPair
    ) throws(SessionError) -> [UInt8] {
        let data = associatedData + message.header
        let position = SkippedKeys.Position(dh: message.dh, n: message.n)
        if let key = skipped[position] {
            guard let plaintext = ChaChaPoly.open(message.ciphertext, key: key, associatedData: data) else {
                throw .forged
            }
            skipped.remove(position)
            return plaintext
        }
        if message.dh != remote {
            try skip(until: message.pn, limits: limits)
            guard let step = RatchetKeys.step(root: root, pair: selfPair, remote: message.dh) else {
                throw .weakKey
            }
            // Only an authentic message may cost a new pair and a second step: check it first.
            receivingChain = step.chain
            root = step.root
            remote = message.dh
            received = 0
            let plaintext = try open(message, data: data, limits: limits)
            let newPair = pair()
            guard let sending = RatchetKeys.step(root: root, pair: newPair, remote: message.dh) else {
                throw .weakKey
            }
            previousSent = sent
            sent = 0
            selfPair = newPair
            root = sending.root
            sendingChain = sending.chain
            return plaintext
        }
        return try open(message, data: data, limits: limits)
    }

    /// Opens a message of the current receiving chain.
    private mutating func open(
        _ message: RatchetMessage, data: [UInt8], limits: RatchetLimits
    ) throws(SessionError) -> [UInt8] {
        // A number that was passed has its key among the skipped ones or was read before.
        guard receivingChain != nil, message.n >= received, message.n < UInt32.max else { throw .forged }
        try skip(until: message.n, limits: limits)
        guard let chain = receivingChain else { throw .forged }
        let key = RatchetKeys.messageKey(of: chain)
        guard let plaintext = ChaChaPoly.open(message.ciphertext, key: key, associatedData: data) else {
            throw .forged
        }
        receivingChain = RatchetKeys.nextChain(after: chain)
        received += 1
        return plaintext
    }

    private mutating func skip(until number: UInt32, limits: RatchetLimits) throws(SessionError) {
        guard var chain = receivingChain, let remote, number > received else { return }
        let missing = Int(number - received)
        guard missing <= limits.skippedPerStep else { throw .tooManySkipped(missing) }
        while received < number {
            skipped.keep(
                RatchetKeys.messageKey(of: chain), at: .init(dh: remote, n: received),
                limit: limits.skippedKept)
            chain = RatchetKeys.nextChain(after: chain)
            received += 1
        }
        receivingChain = chain
    }
}

/// Bounds on what a sender can make a receiver compute and keep.
struct RatchetLimits: Sendable {
    var skippedPerStep = RatchetSession.maximumSkipped
    var skippedKept = RatchetSession.maximumKept
}
