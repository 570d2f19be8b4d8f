/// The handshake that starts a session with a peer who may be offline (AgentMesh wire §3).
public enum X3DH {
    /// Starts a session towards the owner of `bundle`.
    ///
    /// - Parameters:
    ///   - from: the own DID as it will stand in the KNOCK.
    ///   - to: the peer's DID as it will stand in the KNOCK; the bundle must be its.
    public static func initiate(
        identity: Identity, bundle: PrekeyBundle, from: String, to: String
    ) throws(SessionError) -> (RatchetSession, Establishment) {
        try initiate(
            identity: identity, bundle: bundle, from: from, to: to, ephemeral: .generate(),
            ratchet: .generate())
    }

    static func initiate(
        identity: Identity, bundle: PrekeyBundle, from: String, to: String, ephemeral: X25519KeyPair,
        ratchet: X25519KeyPair
    ) throws(SessionError) -> (RatchetSession, Establishment) {
        guard let peer = try? DID(parsing: to) else { throw .otherIdentity }
        try bundle.verify(for: peer)
        let own = identity.x25519()
        let secret = try sharedSecret(
            [
                (own, bundle.signedPreKey.publicKey), (ephemeral, bundle.identityKey),
                (ephemeral, bundle.signedPreKey.publicKey),
            ] + (bundle.oneTimePreKey.map { [(ephemeral, $0.publicKey)] } ?? []))
        let data = associatedData(from: from, to: to, initiator: own.publicKey, responder: bundle.identityKey)
        let state = try RatchetState(
            initiator: ratchet, secret: secret, remote: bundle.signedPreKey.publicKey)
        return (
            RatchetSession(peer: to, associatedData: data, state: state),
            Establishment(ik: own.publicKey, ek: ephemeral.publicKey, otk: bundle.oneTimePreKey?.keyID)
        )
    }

    /// Builds the session that an initiator started.
    ///
    /// A one-time prekey that was used is gone from `prekeys` afterwards: store both before acting on the
    /// session. Where a previous signed prekey is still honoured, the session's first message decides which
    /// one the initiator took. That `establishment.ik` is the sender's key is for the caller to check
    /// (``KnockFrame/verify(key:)``, ``Establishment/belongs(to:)``), and so is that one establishment makes
    /// one session only: without a one-time prekey nothing else stops a relay from delivering it twice.
    ///
    /// - Parameters:
    ///   - from: the peer's DID as it stands in the KNOCK.
    ///   - to: the own DID as it stands in the KNOCK.
    /// - Throws: `prekeys` is then as it was.
    public static func respond(
        identity: Identity, prekeys: inout PrekeyStore, establishment: Establishment, from: String, to: String
    ) throws(SessionError) -> RatchetSession {
        guard let own = try? DID(parsing: to), own.names(identity.publicKey) else { throw .otherIdentity }
        var oneTime: X25519KeyPair?
        if let id = establishment.otk {
            guard let pair = prekeys.oneTimePair(id: id) else { throw .unknownOneTimePrekey(id) }
            oneTime = pair
        }
        let pair = identity.x25519()
        let data = associatedData(from: from, to: to, initiator: establishment.ik, responder: pair.publicKey)
        var states: [RatchetState] = []
        for signed in prekeys.signedPairs {
            let secret = try sharedSecret(
                [(signed, establishment.ik), (pair, establishment.ek), (signed, establishment.ek)]
                    + (oneTime.map { [($0, establishment.ek)] } ?? []))
            states.append(RatchetState(responder: signed, secret: secret))
        }
        if let id = establishment.otk { _ = prekeys.takeOneTime(id: id) }
        return RatchetSession(
            peer: from, associatedData: data, state: states[0], alternate: states.count > 1 ? states[1] : nil)
    }

    static func associatedData(from: String, to: String, initiator: [UInt8], responder: [UInt8]) -> [UInt8] {
        Array("\(from)|\(to)".utf8) + initiator + responder
    }

    /// HKDF over 32 bytes of 0xFF and the Diffie-Hellman outputs (AgentMesh wire §2).
    static func sharedSecret(_ agreements: [(X25519KeyPair, [UInt8])]) throws(SessionError) -> SecretBytes {
        var material = SecretWriter(capacity: 32 * 5)
        material.append([UInt8](repeating: 0xFF, count: 32))
        for (pair, remote) in agreements {
            guard let output = X25519.agree(privateKey: pair.privateKey, publicKey: remote) else { throw .weakKey }
            material.append(output)
        }
        let salt = SecretBytes(pooled: 32) { $0.initialize(repeating: 0, count: 32) }
        return HKDF.derive(salt: salt, key: material.finish(), label: "AgentMesh_X3DH_v1", count: 32)
    }
}
