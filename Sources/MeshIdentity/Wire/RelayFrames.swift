import FoundationEssentials

/// Tells the relay that a frame was processed (AgentMesh wire §5, `ack`).
public struct AckFrame: Codable, Sendable, Equatable {
    public var id: String

    public init(id: String) { self.id = id }

    /// The frame as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    private enum CodingKeys: String, CodingKey { case v, type, id }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        try frame.checkType("ack", .type)
        id = try frame.decodeIdentifier(.id)
    }
    public func encode(to encoder: any Encoder) throws {
        var frame = encoder.container(keyedBy: CodingKeys.self)
        try frame.encode(1, forKey: .v)
        try frame.encode("ack", forKey: .type)
        try frame.encode(id, forKey: .id)
    }
}

/// Tells the relay every 30 s that the sender lives (AgentMesh wire §5, `heartbeat`).
public struct HeartbeatFrame: Codable, Sendable, Equatable {
    public var from: String
    public var ts: String

    public init(from: String, now: Date) {
        self.from = from
        ts = MeshTimestamp.format(now)
    }

    /// The frame as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    private enum CodingKeys: String, CodingKey { case v, type, from, ts }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        try frame.checkType("heartbeat", .type)
        from = try frame.decodeTextIfPresent(.from, limit: FrameLimits.name) ?? ""
        ts = try frame.decodeTextIfPresent(.ts, limit: FrameLimits.timestamp) ?? ""
    }
    public func encode(to encoder: any Encoder) throws {
        var frame = encoder.container(keyedBy: CodingKeys.self)
        try frame.encode(1, forKey: .v)
        try frame.encode("heartbeat", forKey: .type)
        try frame.encode(from, forKey: .from)
        try frame.encode(ts, forKey: .ts)
    }
}
