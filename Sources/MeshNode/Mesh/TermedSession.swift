import FoundationEssentials
import MeshIdentity

/// A ratchet, and what was agreed for it.
struct TermedSession: Sendable {
    private(set) var ratchet: RatchetSession
    private(set) var terms: SessionTerms?

    init(_ ratchet: RatchetSession, terms: SessionTerms? = nil) {
        self.ratchet = ratchet
        self.terms = terms
    }

    /// Whether a message can be sealed; a responder must receive first (AgentMesh wire §3).
    func canSend(at now: Date) -> Bool { ratchet.canSend && !(terms?.isOver(at: now) ?? false) }

    /// - Throws: `refused` for what the terms forbid; the session is then as it was.
    mutating func encrypt(_ plaintext: [UInt8], now: Date) throws -> RatchetMessage {
        var terms = terms
        if let reason = terms?.note(plaintext, isOurs: true, at: now) {
            throw OperationFailure(.refused, "the peer's conditions forbid the message: \(reason)")
        }
        let message = try ratchet.encrypt(plaintext)
        self.terms = terms
        return message
    }

    /// - Returns: `refusal` is the reason when the terms forbid the message.
    /// - Throws: for a message that is not of this session, which is then as it was.
    mutating func decrypt(_ message: RatchetMessage, now: Date) throws -> (plaintext: [UInt8], refusal: String?) {
        let plaintext = try ratchet.decrypt(message)
        return (plaintext, terms?.note(plaintext, isOurs: false, at: now))
    }
}

// The stored form: the terms as JSON, then the ratchet, each after its length (u32 big-endian).
extension TermedSession {
    func serialize(to output: inout SecretWriter) {
        let terms = terms.map { PeerJSON.encode($0) } ?? []
        Self.append(length: terms.count, to: &output)
        output.append(terms)
        let stored = ratchet.serialized()
        Self.append(length: stored.count, to: &output)
        output.append(stored)
    }

    /// Takes one off the front; nil when there is none.
    init?(from bytes: inout Slice<UnsafeRawBufferPointer>) {
        guard let terms = Self.takePart(&bytes), let stored = Self.takePart(&bytes),
            let ratchet = try? RatchetSession(serialized: stored)
        else { return nil }
        self.ratchet = ratchet
        if !terms.isEmpty {
            guard let terms = PeerJSON.decode(SessionTerms.self, from: Array(terms)) else { return nil }
            self.terms = terms
        }
    }

    private static func append(length: Int, to output: inout SecretWriter) {
        for shift in [24, 16, 8, 0] { output.append(UInt8(truncatingIfNeeded: length >> shift)) }
    }

    private static func takePart(_ bytes: inout Slice<UnsafeRawBufferPointer>) -> UnsafeRawBufferPointer? {
        guard bytes.count >= 4 else { return nil }
        let count = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let rest = bytes.dropFirst(4)
        guard rest.count >= count else { return nil }
        bytes = rest.dropFirst(count)
        return UnsafeRawBufferPointer(rebasing: rest.prefix(count))
    }
}
