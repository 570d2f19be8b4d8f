/// What the agent says to one turn.
struct ChatAnswer: Sendable, Equatable, Codable {
    struct Remembered: Sendable, Equatable, Codable {
        /// The user's message before this one in the same conversation.
        let previous: String?
        /// Turns of the conversation, this one included.
        let turns: Int

        func encode(to encoder: any Encoder) throws {
            var values = encoder.container(keyedBy: CodingKeys.self)
            try values.encode(previous, forKey: .previous)  // null when there is none, never left out
            try values.encode(turns, forKey: .turns)
        }
    }

    /// Position in the conversation, counted from 1.
    let turn: Int
    let reply: String
    let remembered: Remembered
    /// The journal's digest after this turn, in hex.
    let digest: String
    /// What it cost.
    let usage: TokenUsage
}

/// All turns of a workspace in two numbers and a digest (`GET /v1/state`).
struct AgentState: Sendable, Equatable, Codable {
    let turns: Int
    let conversations: Int
    let digest: String
}

/// One past turn as listed by `GET /v1/conversations/{id}`.
struct ListedTurn: Sendable, Equatable, Codable {
    let turn: Int
    let message: String
    let reply: String
}
