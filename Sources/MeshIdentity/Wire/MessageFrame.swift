import FoundationEssentials

/// A sealed message on its way (AgentMesh wire §5, `message`).
public struct MessageFrame: Codable, Sendable, Equatable {
    public var from: String
    public var to: String
    public var id: String
    /// ISO 8601; empty when the sender gave none.
    public var ts: String
    public var message: RatchetMessage
    /// The specification's way to start a session; ours sends it in the KNOCK (AgentMesh wire §8).
    public var establishment: Establishment?

    public init(
        from: String, to: String, id: String = FrameID.make(), now: Date, message: RatchetMessage,
        establishment: Establishment? = nil
    ) {
        self.from = from
        self.to = to
        self.id = id
        ts = MeshTimestamp.format(now)
        self.message = message
        self.establishment = establishment
    }

    /// The frame as it is sent: one object, sorted keys. Written by hand, since every message passes here.
    public func encode() -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(message.ciphertext.count * 4 / 3 + 420)
        text.append(contentsOf: #"{"ciphertext":""#.utf8)
        Base64.append(message.ciphertext, to: &text)
        text.append(contentsOf: #"","from":"#.utf8)
        appendJSONString(from, to: &text)
        text.append(contentsOf: #","header":{"dh":""#.utf8)
        Base64.append(message.dh, to: &text)
        text.append(contentsOf: "\",\"n\":\(message.n),\"pn\":\(message.pn)},\"id\":".utf8)
        appendJSONString(id, to: &text)
        text.append(contentsOf: #","to":"#.utf8)
        appendJSONString(to, to: &text)
        text.append(contentsOf: #","ts":"#.utf8)
        appendJSONString(ts, to: &text)
        text.append(contentsOf: #","type":"message","v":1"#.utf8)
        if let establishment {
            text.append(contentsOf: #","x3dh":{"ephemeral_key":""#.utf8)
            Base64.append(establishment.ek, to: &text)
            text.append(contentsOf: #"","identity_key":""#.utf8)
            Base64.append(establishment.ik, to: &text)
            text.append(UInt8(ascii: "\""))
            if let otk = establishment.otk { text.append(contentsOf: ",\"used_opk_id\":\(otk)".utf8) }
            text.append(UInt8(ascii: "}"))
        }
        text.append(UInt8(ascii: "}"))
        return text
    }

    private enum CodingKeys: String, CodingKey { case v, type, from, to, id, ts, header, ciphertext, x3dh }
    private enum HeaderKeys: String, CodingKey { case dh, pn, n }
    private enum X3DHKeys: String, CodingKey {
        case identityKey = "identity_key"
        case ephemeralKey = "ephemeral_key"
        case oneTimeID = "used_opk_id"
    }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        try frame.checkType("message", .type)
        from = try frame.decodeText(.from, limit: FrameLimits.name)
        to = try frame.decodeText(.to, limit: FrameLimits.name)
        id = try frame.decodeIdentifier(.id)
        ts = try frame.decodeTextIfPresent(.ts, limit: FrameLimits.timestamp) ?? ""
        let header = try frame.nestedContainer(keyedBy: HeaderKeys.self, forKey: .header)
        guard let ciphertext = Base64.decode(try frame.decode(String.self, forKey: .ciphertext)),
            ciphertext.count >= ChaChaPoly.overhead
        else {
            throw DecodingError.dataCorruptedError(
                forKey: .ciphertext, in: frame, debugDescription: "not a box")
        }
        message = RatchetMessage(
            dh: try header.decodeBase64(.dh, count: X25519.keySize),
            pn: try header.decode(UInt32.self, forKey: .pn),
            n: try header.decode(UInt32.self, forKey: .n), ciphertext: ciphertext)
        if frame.contains(.x3dh), try !frame.decodeNil(forKey: .x3dh) {
            let x3dh = try frame.nestedContainer(keyedBy: X3DHKeys.self, forKey: .x3dh)
            establishment = Establishment(
                ik: try x3dh.decodeBase64(.identityKey, count: X25519.keySize),
                ek: try x3dh.decodeBase64(.ephemeralKey, count: X25519.keySize),
                otk: try x3dh.decodeIfPresent(Int.self, forKey: .oneTimeID))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var frame = encoder.container(keyedBy: CodingKeys.self)
        try frame.encode(1, forKey: .v)
        try frame.encode("message", forKey: .type)
        try frame.encode(from, forKey: .from)
        try frame.encode(to, forKey: .to)
        try frame.encode(id, forKey: .id)
        try frame.encode(ts, forKey: .ts)
        var header = frame.nestedContainer(keyedBy: HeaderKeys.self, forKey: .header)
        try header.encode(Base64.encode(message.dh), forKey: .dh)
        try header.encode(message.pn, forKey: .pn)
        try header.encode(message.n, forKey: .n)
        try frame.encode(Base64.encode(message.ciphertext), forKey: .ciphertext)
        guard let establishment else { return }
        var x3dh = frame.nestedContainer(keyedBy: X3DHKeys.self, forKey: .x3dh)
        try x3dh.encode(Base64.encode(establishment.ik), forKey: .identityKey)
        try x3dh.encode(Base64.encode(establishment.ek), forKey: .ephemeralKey)
        try x3dh.encodeIfPresent(establishment.otk, forKey: .oneTimeID)
    }
}
