import FoundationEssentials

/// One user turn as a client asks for it (`POST /v1/chat`, or a text message on `/v1/stream`).
struct ChatRequest: Sendable, Equatable {
    let message: String
    /// 1 to 128 of `[A-Za-z0-9._-]`, so that it needs no escape in the journal or in a path.
    let conversation: String
    /// Names the request, so that a repeat gets the first answer: 1 to 128 visible ASCII characters without
    /// `"` and `\`, which therefore need no escape in the journal.
    let requestID: String?
    /// Most tokens of message and reply together.
    let maximumTokens: Int?
    /// What was done before the answer, see ``Errand``; it takes the reply's place.
    var outcome: String?

    static let defaultConversation = "main"
    static let maximumNameLength = 128
    /// The gate's name of a request that it sent on from another peer (runtime contract v1).
    static let gateHeader = "kars-request-id"
    /// Keeps those apart from what clients call theirs.
    private static let gatePrefix = "gate:"

    private struct Wire: Decodable {
        let message: String
        let conversation: String?
        let request_id: String?
        let max_tokens: Int?
    }

    init(
        message: String, conversation: String = defaultConversation, requestID: String? = nil,
        maximumTokens: Int? = nil, limits: AgentLimits = AgentLimits()
    ) throws(AgentError) {
        guard !message.isEmpty else { throw .invalidRequest(reason: "the message is empty") }
        guard message.utf8.count <= limits.maximumMessageBytes else {
            throw .messageTooLong(limit: limits.maximumMessageBytes)
        }
        guard Self.isConversation(conversation) else {
            throw .invalidRequest(reason: "a conversation's id is 1 to 128 of A-Z a-z 0-9 . _ -")
        }
        guard requestID.map(Self.isRequestID) ?? true else {
            throw .invalidRequest(
                reason: "a request_id is 1 to 128 visible ASCII characters without quote and backslash")
        }
        guard maximumTokens.map({ $0 > 0 }) ?? true else {
            throw .invalidRequest(reason: "max_tokens is a number above 0")
        }
        self.maximumTokens = maximumTokens
        self.message = message
        self.conversation = conversation
        self.requestID = requestID
    }

    /// - Parameter gateID: names the request where its client did not; one that is no name is ignored.
    init(parsing json: [UInt8], gateID: String? = nil, limits: AgentLimits) throws(AgentError) {
        guard json.count <= limits.maximumRequestBytes else {
            throw .messageTooLong(limit: limits.maximumMessageBytes)
        }
        guard let wire = try? JSONDecoder().decode(Wire.self, from: Data(json)) else {
            throw .invalidRequest(reason: "a chat request is a JSON object with the text \"message\"")
        }
        let named = gateID.flatMap { name in
            let own = Self.gatePrefix + name
            return Self.isRequestID(name) && Self.isRequestID(own) ? own : nil
        }
        try self.init(
            message: wire.message, conversation: wire.conversation ?? Self.defaultConversation,
            requestID: wire.request_id ?? named, maximumTokens: wire.max_tokens, limits: limits)
    }

    static func isConversation(_ text: String) -> Bool {
        (1...maximumNameLength).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    static func isRequestID(_ text: String) -> Bool {
        (1...maximumNameLength).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
            }
    }
}
