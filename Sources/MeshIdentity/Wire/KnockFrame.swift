import FoundationEssentials

/// A stranger's wish to talk (AgentMesh wire §5, `knock`).
///
/// Ours is always signed and carries `public_key`, so that the receiver can check the sender without asking
/// the registry; both are absent in what the published SDK sends (AgentMesh wire §8). The protocol's
/// signature covers the intent alone, so a relay could put one KNOCK's intent on another one's session; ours
/// therefore also carries `binding`, a signature over names, identifier, time, intent and establishment
/// together.
public struct KnockFrame: Codable, Sendable, Equatable {
    public var from: String
    public var to: String
    public var id: String
    public var ts: String
    public var intent: Intent
    /// Nil where the first message brings it.
    public var establishment: Establishment?
    /// Base64 Ed25519 over the intent's canonical form.
    public var signature: String?
    public var publicKey: PublicKey?
    /// Base64url Ed25519 over all of the frame that matters; other implementations neither send nor read it.
    public var binding: String?

    /// What is known of a KNOCK's sender after ``verify(key:)``.
    public enum Proof: Sendable, Equatable {
        /// The key is the DID's and signed the intent.
        case signed(PublicKey)
        /// The key is the DID's, but nothing is signed: opening a message of the session is what proves it.
        case unsigned(PublicKey)
        /// The frame carries no key: fetch it by the DID and verify again.
        case keyUnknown
    }

    /// A signed KNOCK with the sender's key.
    public static func make(
        identity: Identity, to: String, intent: Intent, establishment: Establishment,
        id: String = FrameID.make(),
        now: Date
    ) -> KnockFrame {
        var knock = KnockFrame(
            from: identity.did.text, to: to, id: id, ts: MeshTimestamp.format(now), intent: intent,
            establishment: establishment, signature: Base64.encodeURL(identity.sign(intent.canonicalBytes)),
            publicKey: identity.publicKey)
        knock.binding = Base64.encodeURL(identity.sign(knock.boundText))
        return knock
    }

    init(
        from: String, to: String, id: String, ts: String, intent: Intent, establishment: Establishment?,
        signature: String?, publicKey: PublicKey?
    ) {
        self.from = from
        self.to = to
        self.id = id
        self.ts = ts
        self.intent = intent
        self.establishment = establishment
        self.signature = signature
        self.publicKey = publicKey
    }

    /// Checks that the key belongs to `from`, that `establishment.ik` is its X25519 image, and the signature
    /// if there is one.
    ///
    /// - Parameter key: the sender's key where it is known already; the frame's must then be the same.
    public func verify(key known: PublicKey? = nil) throws(ProofError) -> Proof {
        let name = try ProofWindow.name(from, field: "from")
        if let known, let publicKey, known != publicKey { throw .keyMismatch }
        guard let key = known ?? publicKey else { return .keyUnknown }
        guard name.names(key) else { throw .keyMismatch }
        if let establishment {
            guard establishment.belongs(to: key) else { throw .keyMismatch }
        }
        guard binding == nil || isBound(by: key) else { throw .badSignature }
        guard let signature else { return .unsigned(key) }
        guard key.isValid(signature: try ProofWindow.signature(signature), over: intent.canonicalBytes) else {
            throw .badSignature
        }
        return .signed(key)
    }

    /// Whether `key` signed this very KNOCK: its intent belongs to its session, its sender and its receiver.
    public func isBound(by key: PublicKey) -> Bool {
        guard let binding, let signature = try? ProofWindow.signature(binding) else { return false }
        return key.isValid(signature: signature, over: Array(boundText.utf8))
    }

    private var boundText: String {
        let session = establishment.map {
            "\(Hex.encode($0.ik)):\(Hex.encode($0.ek)):\($0.otk.map(String.init) ?? "")"
        }
        let digest = Hex.encode(SHA256Digest.hash(intent.canonicalBytes))
        return "knock:\(from):\(to):\(id):\(ts):\(digest):\(session ?? "")"
    }

    /// The frame as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    private enum CodingKeys: String, CodingKey {
        case v, type, from, to, id, ts, intent, establishment, signature, binding
        case publicKey = "public_key"
    }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        try frame.checkType("knock", .type)
        from = try frame.decodeText(.from, limit: FrameLimits.name)
        to = try frame.decodeText(.to, limit: FrameLimits.name)
        id = try frame.decodeIdentifier(.id)
        ts = try frame.decodeTextIfPresent(.ts, limit: FrameLimits.timestamp) ?? ""
        intent = try frame.decode(Intent.self, forKey: .intent)
        establishment = try frame.decodeIfPresent(Establishment.self, forKey: .establishment)
        signature = try frame.decodeTextIfPresent(.signature, limit: FrameLimits.signature)
        publicKey = try frame.decodeIfPresent(PublicKey.self, forKey: .publicKey)
        binding = try frame.decodeTextIfPresent(.binding, limit: FrameLimits.signature)
    }

    public func encode(to encoder: any Encoder) throws {
        var frame = encoder.container(keyedBy: CodingKeys.self)
        try frame.encode(1, forKey: .v)
        try frame.encode("knock", forKey: .type)
        try frame.encode(from, forKey: .from)
        try frame.encode(to, forKey: .to)
        try frame.encode(id, forKey: .id)
        try frame.encode(ts, forKey: .ts)
        try frame.encode(intent, forKey: .intent)
        try frame.encodeIfPresent(establishment, forKey: .establishment)
        try frame.encodeIfPresent(signature, forKey: .signature)
        try frame.encodeIfPresent(binding, forKey: .binding)
        // Standard base64, as relays carry keys.
        try frame.encodeIfPresent(publicKey.map { Base64.encode($0.bytes) }, forKey: .publicKey)
    }
}
