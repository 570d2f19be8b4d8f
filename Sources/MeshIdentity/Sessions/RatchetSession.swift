/// A session with one peer: Double Ratchet and the data it is bound to (AgentMesh wire §4).
///
/// A value without a lock or a file: its owner seals and stores ``serialized()`` before a message leaves or
/// is acknowledged. Whatever throws leaves the session as it was.
public struct RatchetSession: Sendable, CustomStringConvertible, CustomReflectable {
    /// Most messages that may be missing before one that is read.
    public static let maximumSkipped = 100
    /// Most keys of missing messages that a session keeps; the oldest go first.
    public static let maximumKept = 2000
    /// Largest plaintext in bytes.
    public static let maximumMessageSize = 8 << 20

    /// The peer's DID as it stood in the KNOCK.
    public let peer: String
    let associatedData: [UInt8]
    var state: RatchetState
    /// The responder's second possibility until its first message tells which signed prekey the initiator
    /// took: a KNOCK does not say.
    var alternate: RatchetState?

    init(peer: String, associatedData: [UInt8], state: RatchetState, alternate: RatchetState? = nil) {
        self.peer = peer
        self.associatedData = associatedData
        self.state = state
        self.alternate = alternate
    }

    /// Whether ``encrypt(_:)`` is possible; a responder must receive first.
    public var canSend: Bool { state.sendingChain != nil }

    /// Without keys, also when a debugger or a test dumps it.
    public var description: String { "session with \(peer)" }
    public var customMirror: Mirror { Mirror(self, children: []) }

    /// Seals the next message.
    public mutating func encrypt(_ plaintext: [UInt8]) throws(SessionError) -> RatchetMessage {
        try encrypt(plaintext, nonce: RandomBytes.make(ChaChaPoly.nonceSize))
    }

    mutating func encrypt(_ plaintext: [UInt8], nonce: [UInt8]) throws(SessionError) -> RatchetMessage {
        guard plaintext.count <= Self.maximumMessageSize else { throw .tooLarge(plaintext.count) }
        return try state.encrypt(plaintext, associatedData: associatedData, nonce: nonce)
    }

    /// Opens a message, in whatever order messages arrive.
    ///
    /// - Throws: ``SessionError/forged`` also for a message that was opened before.
    public mutating func decrypt(_ message: RatchetMessage) throws(SessionError) -> [UInt8] {
        try decrypt(message, pair: X25519KeyPair.generate)
    }

    mutating func decrypt(
        _ message: RatchetMessage, limits: RatchetLimits = RatchetLimits(), pair: () -> X25519KeyPair
    ) throws(SessionError) -> [UInt8] {
        guard message.dh.count == X25519.keySize, message.ciphertext.count >= ChaChaPoly.overhead else {
            throw .forged
        }
        guard message.ciphertext.count <= Self.maximumMessageSize + ChaChaPoly.overhead else {
            throw .tooLarge(message.ciphertext.count)
        }
        var next = state
        do throws(SessionError) {
            let plaintext = try next.decrypt(
                message, associatedData: associatedData, limits: limits, pair: pair)
            state = next
            alternate = nil
            return plaintext
        } catch {
            guard error == .forged, var other = alternate,
                let plaintext = try? other.decrypt(
                    message, associatedData: associatedData, limits: limits, pair: pair)
            else { throw error }
            state = other
            alternate = nil
            return plaintext
        }
    }
}
