/// What arrives at an agent.
public enum IncomingFrame: Sendable, Equatable, Decodable {
    case message(MessageFrame)
    case knock(KnockFrame)
    case knockAccept(KnockAcceptFrame)
    case knockReject(KnockRejectFrame)
    case ack(AckFrame)
    case heartbeat(HeartbeatFrame)
    /// Stored frames in one; those that do not read are left out.
    case pending([IncomingFrame])
    /// The relay's or a peer's complaint.
    case error(detail: String)
    /// A type this release does not know, cut to 64 bytes.
    case unknown(type: String)

    /// Default bound: the largest message in base64, with room for its envelope.
    public static let maximumSize = RatchetSession.maximumMessageSize / 3 * 4 + 4096
    /// Most stored frames in one `pending_messages`.
    public static let maximumPending = 1000

    /// Reads one text frame.
    public static func decode(_ bytes: [UInt8], limit: Int = maximumSize) throws(FrameError) -> IncomingFrame
    {
        guard bytes.count <= limit else { throw .tooLarge(bytes.count, limit: limit) }
        do {
            return try JSONCoding.decode(IncomingFrame.self, from: bytes)
        } catch {
            throw .malformed(JSONCoding.reason(of: error))
        }
    }

    private enum CodingKeys: String, CodingKey { case type, detail, messages }

    public init(from decoder: any Decoder) throws {
        let frame = try decoder.container(keyedBy: CodingKeys.self)
        let type = try frame.decode(String.self, forKey: .type)
        switch type {
        case "message": self = .message(try MessageFrame(from: decoder))
        case "knock": self = .knock(try KnockFrame(from: decoder))
        case "knock_accept": self = .knockAccept(try KnockAcceptFrame(from: decoder))
        case "knock_reject": self = .knockReject(try KnockRejectFrame(from: decoder))
        case "ack": self = .ack(try AckFrame(from: decoder))
        case "heartbeat": self = .heartbeat(try HeartbeatFrame(from: decoder))
        case "error": self = .error(detail: try frame.decodeTextIfPresent(.detail, limit: 4096) ?? "")
        case "pending_messages":
            // Frames inside frames inside frames would be recursion that a stranger steers.
            guard decoder.codingPath.isEmpty else {
                throw DecodingError.dataCorruptedError(
                    forKey: .type, in: frame, debugDescription: "nested pending_messages")
            }
            let elements = try frame.decode([Lenient].self, forKey: .messages)
            guard elements.count <= Self.maximumPending else {
                throw DecodingError.dataCorruptedError(
                    forKey: .messages, in: frame, debugDescription: "more than \(Self.maximumPending)")
            }
            self = .pending(elements.compactMap(\.frame))
        default: self = .unknown(type: String(decoding: type.utf8.prefix(64), as: UTF8.self))
        }
    }

    /// An element whose failure does not spoil the others.
    private struct Lenient: Decodable {
        let frame: IncomingFrame?
        init(from decoder: any Decoder) throws { frame = try? IncomingFrame(from: decoder) }
    }
}
