import MeshIdentity

/// An end-to-end session with one peer.
struct PeerSession: Sendable {
    let peer: PeerIdentity
    var ratchet: RatchetSession
    /// Grows with every use; the smallest gives way when there are too many.
    var lastUse = 0

    /// The name of its row in the store.
    static func secretName(_ peer: DID) -> String { "session:\(peer)" }

    /// What is sealed: the peer's key, then the ratchet.
    func serialized() -> [UInt8] { peer.key.bytes + ratchet.serialized() }

    init(peer: PeerIdentity, ratchet: RatchetSession) {
        self.peer = peer
        self.ratchet = ratchet
    }

    init?(serialized bytes: [UInt8]) {
        guard bytes.count > 32, let key = try? PublicKey(bytes: Array(bytes[..<32])),
            let ratchet = try? RatchetSession(serialized: Array(bytes[32...]))
        else { return nil }
        self.init(peer: PeerIdentity(key: key), ratchet: ratchet)
    }
}
