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
    func serialized() -> [UInt8] {
        var bytes: [UInt8] = []
        for part in [terms.map { PeerJSON.encode($0) } ?? [], ratchet.serialized()] {
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: part.count >> shift)) }
            bytes += part
        }
        return bytes
    }

    /// Takes one off the front; nil when there is none.
    init?(from bytes: inout ArraySlice<UInt8>) {
        guard let terms = Self.takePart(&bytes), let stored = Self.takePart(&bytes),
            let ratchet = try? RatchetSession(serialized: Array(stored))
        else { return nil }
        self.ratchet = ratchet
        if !terms.isEmpty {
            guard let terms = PeerJSON.decode(SessionTerms.self, from: Array(terms)) else { return nil }
            self.terms = terms
        }
    }

    private static func takePart(_ bytes: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard bytes.count >= 4 else { return nil }
        let count = bytes.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let rest = bytes.dropFirst(4)
        guard rest.count >= count else { return nil }
        bytes = rest.dropFirst(count)
        return rest.prefix(count)
    }
}
