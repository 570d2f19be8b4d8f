/// What a KNOCK carries so that the other side can build the session (AgentMesh wire §5).
public struct Establishment: Codable, Sendable, Hashable {
    /// The initiator's X25519 identity key.
    public let ik: [UInt8]
    /// The initiator's ephemeral key.
    public let ek: [UInt8]
    /// Identifier of the one-time prekey that was used.
    public let otk: Int?

    /// Whether ``ik`` is the X25519 image of `key`, as it must be for the sender's.
    public func belongs(to key: PublicKey) -> Bool { (try? key.x25519()) == ik }

    private enum CodingKeys: String, CodingKey { case ik, ek, otk }

    init(ik: [UInt8], ek: [UInt8], otk: Int?) {
        self.ik = ik
        self.ek = ek
        self.otk = otk
    }
    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: CodingKeys.self)
        ik = try object.decodeBase64(.ik, count: X25519.keySize)
        ek = try object.decodeBase64(.ek, count: X25519.keySize)
        otk = try object.decodeIfPresent(Int.self, forKey: .otk)
    }
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: CodingKeys.self)
        try object.encode(Base64.encode(ik), forKey: .ik)
        try object.encode(Base64.encode(ek), forKey: .ek)
        try object.encodeIfPresent(otk, forKey: .otk)
    }
}
