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
    private(set) var current: RatchetSession?
    /// Newest first.
    private(set) var candidates: [RatchetSession] = []
    /// Newest first; read only, and gone after a restart.
    private var former: [RatchetSession] = []
    /// Grows with every use; the smallest gives way when there are too many.
    var lastUse = 0

    init(peer: PeerIdentity) { self.peer = peer }

    /// Whether a message can be sealed; a responder must receive first (AgentMesh wire §3).
    var canSend: Bool { current?.canSend ?? false }

    mutating func encrypt(_ plaintext: [UInt8]) throws -> RatchetMessage {
        guard var session = current else { throw SessionError.notYetReceived }
        let message = try session.encrypt(plaintext)
        current = session
        return message
    }

    /// Opens a message in whichever session it belongs to; nil, and no change, when it belongs to none.
    ///
    /// - Returns: `isProven` tells that a candidate came into use by it.
    mutating func decrypt(_ message: RatchetMessage) -> (plaintext: [UInt8], isProven: Bool)? {
        if var session = current, let plaintext = try? session.decrypt(message) {
            current = session
            return (plaintext, false)
        }
        for index in candidates.indices {
            var session = candidates[index]
            guard let plaintext = try? session.decrypt(message) else { continue }
            // Older candidates are overtaken; newer ones may still be proven.
            candidates.removeSubrange(index...)
            replace(with: session)
            return (plaintext, true)
        }
        for index in former.indices {
            guard let plaintext = try? former[index].decrypt(message) else { continue }
            return (plaintext, false)
        }
        return nil
    }

    /// Uses a session that the peer has taken.
    mutating func replace(with session: RatchetSession) {
        if let current { former.insert(current, at: 0) }
        if former.count > Self.maximumFormer { former.removeLast() }
        current = session
    }

    /// Keeps a session that the peer's KNOCK started until a message proves it.
    mutating func offer(_ session: RatchetSession) {
        candidates.insert(session, at: 0)
        if candidates.count > Self.maximumCandidates { candidates.removeLast() }
    }
}

// The stored form: the peer's key, then each session as its role, its length (u32 big-endian) and itself.
extension PeerSession {
    private enum Stored {
        static let version: UInt8 = 1
        static let current: UInt8 = 0
        static let candidate: UInt8 = 1
    }

    /// The name of its row in the store.
    static func secretName(_ peer: DID) -> String { "session:\(peer.canonical)" }

    /// What is sealed.
    func serialized() -> [UInt8] {
        var bytes = [Stored.version] + peer.key.bytes
        let parts = (current.map { [(Stored.current, $0)] } ?? []) + candidates.map { (Stored.candidate, $0) }
        for (role, session) in parts {
            let part = session.serialized()
            bytes.append(role)
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: part.count >> shift)) }
            bytes += part
        }
        return bytes
    }

    init?(serialized bytes: [UInt8]) {
        guard bytes.count >= 33, bytes[0] == Stored.version, let key = try? PublicKey(bytes: Array(bytes[1..<33]))
        else { return nil }
        self.init(peer: PeerIdentity(key: key))
        var rest = bytes[33...]
        while let role = rest.popFirst() {
            guard rest.count >= 4 else { return nil }
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            guard rest.count >= count, let session = try? RatchetSession(serialized: Array(rest.prefix(count)))
            else { return nil }
            rest = rest.dropFirst(count)
            switch role {
            case Stored.current where current == nil: current = session
            case Stored.candidate where candidates.count < Self.maximumCandidates: candidates.append(session)
            default: return nil
            }
        }
    }
}
