import FoundationEssentials

/// Yes to a KNOCK (AgentMesh wire §5, `knock_accept`).
public struct KnockAcceptFrame: Codable, Sendable, Equatable {
    /// What the accepting side limits.
    public struct Conditions: Codable, Sendable, Equatable {
        public var maxMessages: Int?
        public var ttlSeconds: Int?
        public var allowedActions: [String]?

        public init(maxMessages: Int? = nil, ttlSeconds: Int? = nil, allowedActions: [String]? = nil) {
            self.maxMessages = maxMessages
            self.ttlSeconds = ttlSeconds
            self.allowedActions = allowedActions
        }
        private enum CodingKeys: String, CodingKey {
            case maxMessages = "max_messages"
            case ttlSeconds = "ttl_seconds"
            case allowedActions = "allowed_actions"
        }
    }

    public var from: String
    public var to: String
    public var id: String
    public var knockID: String
    public var ts: String
    public var conditions: Conditions?

    public init(
        from: String, to: String, knockID: String, conditions: Conditions? = nil, id: String = FrameID.make(),
        now: Date
    ) {
        self.from = from
        self.to = to
        self.id = id
        self.knockID = knockID
        ts = MeshTimestamp.format(now)
        self.conditions = conditions
    }

    /// The frame as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    private enum CodingKeys: String, CodingKey {
        case v, type, from, to, id, ts, conditions
        case knockID = "knock_id"
    }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        try frame.checkType("knock_accept", .type)
        from = try frame.decodeText(.from, limit: FrameLimits.name)
        to = try frame.decodeText(.to, limit: FrameLimits.name)
        id = try frame.decodeIdentifier(.id)
        knockID = try frame.decodeIdentifier(.knockID)
        ts = try frame.decodeTextIfPresent(.ts, limit: FrameLimits.timestamp) ?? ""
        conditions = try frame.decodeIfPresent(Conditions.self, forKey: .conditions)
    }
    public func encode(to encoder: any Encoder) throws {
        var frame = encoder.container(keyedBy: CodingKeys.self)
        try frame.encode(1, forKey: .v)
        try frame.encode("knock_accept", forKey: .type)
        try frame.encode(from, forKey: .from)
        try frame.encode(to, forKey: .to)
        try frame.encode(id, forKey: .id)
        try frame.encode(knockID, forKey: .knockID)
        try frame.encode(ts, forKey: .ts)
        try frame.encodeIfPresent(conditions, forKey: .conditions)
    }
}

/// No to a KNOCK (AgentMesh wire §5, `knock_reject`); the receiver closes its session.
public struct KnockRejectFrame: Codable, Sendable, Equatable {
    public var from: String
    public var to: String
    public var id: String
    public var knockID: String
    /// `policy_denied`, `insufficient_trust`, …
    public var reason: String
    public var ts: String

    public init(
        from: String, to: String, knockID: String, reason: String, id: String = FrameID.make(), now: Date
    ) {
        self.from = from
        self.to = to
        self.id = id
        self.knockID = knockID
        self.reason = reason
        ts = MeshTimestamp.format(now)
    }

    /// The frame as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    private enum CodingKeys: String, CodingKey {
        case v, type, from, to, id, ts, reason
        case knockID = "knock_id"
    }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        try frame.checkType("knock_reject", .type)
        from = try frame.decodeText(.from, limit: FrameLimits.name)
        to = try frame.decodeText(.to, limit: FrameLimits.name)
        id = try frame.decodeIdentifier(.id)
        knockID = try frame.decodeIdentifier(.knockID)
        reason = try frame.decodeTextIfPresent(.reason, limit: FrameLimits.reason) ?? ""
        ts = try frame.decodeTextIfPresent(.ts, limit: FrameLimits.timestamp) ?? ""
    }
    public func encode(to encoder: any Encoder) throws {
        var frame = encoder.container(keyedBy: CodingKeys.self)
        try frame.encode(1, forKey: .v)
        try frame.encode("knock_reject", forKey: .type)
        try frame.encode(from, forKey: .from)
        try frame.encode(to, forKey: .to)
        try frame.encode(id, forKey: .id)
        try frame.encode(knockID, forKey: .knockID)
        try frame.encode(reason, forKey: .reason)
        try frame.encode(ts, forKey: .ts)
    }
}
