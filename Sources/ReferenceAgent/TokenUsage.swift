/// What a turn cost, in the form that model providers have made common.
///
/// There is no model here: a token stands for four bytes of UTF-8, rounded up, which is about what English takes.
struct TokenUsage: Sendable, Equatable, Codable {
    let prompt: Int
    let completion: Int
    var total: Int { prompt + completion }

    private static let bytesPerToken = 4

    init(message: String, reply: String) {
        prompt = Self.count(message)
        completion = Self.count(reply)
    }

    static func count(_ text: String) -> Int { (text.utf8.count + bytesPerToken - 1) / bytesPerToken }

    /// As much of a reply as a bound on message and reply together leaves, cut between characters.
    ///
    /// - Throws: ``AgentError/tooFewTokens(needed:limit:)`` when the message alone reaches the bound.
    static func cut(_ reply: String, to limit: Int?, after message: String) throws(AgentError) -> String {
        guard let limit else { return reply }
        let needed = count(message)
        guard needed < limit else { throw .tooFewTokens(needed: needed + 1, limit: limit) }
        let (bytes, overflows) = (limit - needed).multipliedReportingOverflow(by: bytesPerToken)
        guard !overflows, reply.utf8.count > bytes else { return reply }
        var rest = bytes
        return String(reply.prefix { character in
            rest -= character.utf8.count
            return rest >= 0
        })
    }

    private enum CodingKeys: String, CodingKey {
        case prompt = "prompt_tokens"
        case completion = "completion_tokens"
        case total = "total_tokens"
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        prompt = try values.decode(Int.self, forKey: .prompt)
        completion = try values.decode(Int.self, forKey: .completion)
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(prompt, forKey: .prompt)
        try values.encode(completion, forKey: .completion)
        try values.encode(total, forKey: .total)
    }
}
