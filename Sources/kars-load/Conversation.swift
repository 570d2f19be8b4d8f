/// One conversation with the agent, and what the agent must remember of it.
struct Conversation: Sendable {
    let name: String
    /// Turns answered so far; nil when the agent may have had turns before this run.
    private(set) var turns: Int?
    /// What was said last.
    private(set) var previous: String?
    private var said = 0

    /// - Parameter isFresh: whether the agent cannot know the conversation yet.
    init(name: String, isFresh: Bool) {
        self.name = name
        turns = isFresh ? 0 : nil
    }

    /// The next message; no two of a conversation are the same.
    mutating func nextMessage() -> String {
        said += 1
        return "\(name) says \(said)"
    }

    /// Notes that a message was not answered: nobody knows whether the agent heard it.
    mutating func loseTrack() { turns = nil }

    /// Takes an answer in.
    ///
    /// - Returns: what the agent forgot; nil when it remembers everything.
    mutating func hear(_ answer: ChatAnswer, to message: String) -> String? {
        let (knownTurns, knownPrevious) = (turns, previous)
        // The next answer is judged by this one, so that one loss counts once.
        turns = answer.turn
        previous = message
        guard let knownTurns else { return nil }
        if answer.turn != knownTurns + 1 || answer.remembered.turns != answer.turn {
            return "\(name): turn \(answer.turn) of \(answer.remembered.turns) after turn \(knownTurns)"
        }
        if answer.remembered.previous != knownPrevious {
            return "\(name): remembers '\(answer.remembered.previous ?? "")', not '\(knownPrevious ?? "")'"
        }
        return nil
    }
}

/// What the reference agent answers to a turn, as far as a client checks it.
struct ChatAnswer: Decodable, Sendable {
    struct Remembered: Decodable, Sendable {
        let previous: String?
        let turns: Int
    }

    let turn: Int
    let remembered: Remembered
}
