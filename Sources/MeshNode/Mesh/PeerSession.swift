import FoundationEssentials
import MeshIdentity

/// The end-to-end sessions with one peer: the one in use, and those on their way in and out.
///
/// A KNOCK's signature covers its intent only, so a relay can put a KNOCK together that verifies and yet comes
/// from nobody who could speak in the session. A session that a peer's KNOCK started is therefore a candidate
/// until a first message opens in it; only then it takes the place of the one in use.
struct PeerSession: Sendable {
    /// Sessions kept that a KNOCK started and no message proved.
    static let maximumCandidates = 3
    /// Sessions kept in memory that were replaced, for messages that were on their way.
    static let maximumFormer = 2

    let peer: PeerIdentity
    /// What sends; nil until the first session is proven.
    private(set) var current: TermedSession?
    /// Newest first.
    private(set) var candidates: [TermedSession] = []
    /// Newest first; read only, and gone after a restart.
    private var former: [TermedSession] = []
    /// Grows with every use; the smallest gives way when there are too many.
    var lastUse = 0

    init(peer: PeerIdentity) { self.peer = peer }

    /// A message that was opened.
    struct Opened {
        let plaintext: [UInt8]
        /// A candidate came into use by it.
        var isProven = false
        /// Why the terms of its session forbid it.
        var refusal: String?
    }

    /// Whether a message can be sealed; a responder must receive first (AgentMesh wire §3).
    func canSend(at now: Date = Date()) -> Bool { current?.canSend(at: now) ?? false }

    /// - Throws: `refused` for what the session's terms forbid.
    mutating func encrypt(_ plaintext: [UInt8], now: Date = Date()) throws -> RatchetMessage {
        guard current != nil else { throw SessionError.notYetReceived }
        return try current!.encrypt(plaintext, now: now)
    }

    /// Opens a message in whichever session it belongs to; nil, and no change, when it belongs to none.
    mutating func decrypt(_ message: RatchetMessage, now: Date = Date()) -> Opened? {
        if let opened = try? current?.decrypt(message, now: now) {
            return Opened(plaintext: opened.plaintext, refusal: opened.refusal)
        }
        for index in candidates.indices {
            var session = candidates[index]
            guard let opened = try? session.decrypt(message, now: now) else { continue }
            // Older candidates are overtaken; newer ones may still be proven.
            candidates.removeSubrange(index...)
            replace(with: session)
            return Opened(plaintext: opened.plaintext, isProven: true, refusal: opened.refusal)
        }
        for index in former.indices {
            guard let opened = try? former[index].decrypt(message, now: now) else { continue }
            return Opened(plaintext: opened.plaintext, refusal: opened.refusal)
        }
        return nil
    }

    /// Uses a session that the peer has taken.
    mutating func replace(with session: TermedSession) {
        if let current { former.insert(current, at: 0) }
        if former.count > Self.maximumFormer { former.removeLast() }
        current = session
    }

    /// Keeps a session that the peer's KNOCK started until a message proves it.
    mutating func offer(_ session: TermedSession) {
        candidates.insert(session, at: 0)
        if candidates.count > Self.maximumCandidates { candidates.removeLast() }
    }
}

// The stored form: the peer's key, then each session as its role and itself.
extension PeerSession {
    private enum Stored {
        static let version: UInt8 = 2
        static let current: UInt8 = 0
        static let candidate: UInt8 = 1
    }

    /// The name of its row in the store.
    static func secretName(_ peer: DID) -> String { "session:\(peer.canonical)" }

    /// What is sealed.
    func serialized() -> SecretBytes {
        let parts = (current.map { [(Stored.current, $0)] } ?? []) + candidates.map { (Stored.candidate, $0) }
        var bytes = SecretWriter(capacity: 64 + parts.count * 1400)
        bytes.append(Stored.version)
        bytes.append(peer.key.bytes)
        for (role, session) in parts {
            bytes.append(role)
            session.serialize(to: &bytes)
        }
        return bytes.finish()
    }

    init?(serialized bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= 33, bytes[0] == Stored.version, let key = try? PublicKey(bytes: Array(bytes[1..<33]))
        else { return nil }
        self.init(peer: PeerIdentity(key: key))
        var rest = bytes[33...]
        while let role = rest.popFirst() {
            guard let session = TermedSession(from: &rest) else { return nil }
            switch role {
            case Stored.current where current == nil: current = session
            case Stored.candidate where candidates.count < Self.maximumCandidates: candidates.append(session)
            default: return nil
            }
        }
    }
}
