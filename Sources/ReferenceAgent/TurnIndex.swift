/// Where each turn lies in the journal: no texts, 16 bytes a turn, so that a long life needs little memory.
struct TurnIndex {
    /// A line of the journal, without its newline.
    struct Place: Equatable {
        let offset: UInt64
        let length: UInt32
    }

    private struct Conversation {
        var turns: [Place] = []
        /// Position in `turns` of the latest "remember …".
        var note: Int?

        mutating func append(_ place: Place, isNote: Bool) {
            if isNote { note = turns.count }
            turns.append(place)
        }
    }

    private var conversations: [String: Conversation] = [:]
    private(set) var turnCount = 0

    /// The latest request ids as a ring, so that the oldest is forgotten first.
    private var places: [String: (conversation: String, turn: Int)] = [:]
    private var recentIDs: [String] = []
    private var nextRecent = 0
    private let maximumRequestIDs: Int

    init(maximumRequestIDs: Int) { self.maximumRequestIDs = maximumRequestIDs }

    var conversationCount: Int { conversations.count }

    func contains(_ conversation: String) -> Bool { conversations[conversation] != nil }
    func turns(in conversation: String) -> Int { conversations[conversation]?.turns.count ?? 0 }

    /// - Parameter turn: counted from 1.
    func place(of turn: Int, in conversation: String) -> Place? {
        guard let turns = conversations[conversation]?.turns, turns.indices.contains(turn - 1) else {
            return nil
        }
        return turns[turn - 1]
    }

    func noteTurn(in conversation: String) -> Int? { conversations[conversation]?.note.map { $0 + 1 } }

    func turn(answering requestID: String) -> (conversation: String, turn: Int)? { places[requestID] }

    mutating func append(_ header: TurnLine.Header, at place: Place) {
        turnCount += 1
        conversations[header.conversation, default: Conversation()].append(place, isNote: header.isNote)
        guard let id = header.requestID else { return }
        if recentIDs.count < maximumRequestIDs {
            recentIDs.append(id)
        } else {
            places[recentIDs[nextRecent]] = nil
            recentIDs[nextRecent] = id
            nextRecent = (nextRecent + 1) % maximumRequestIDs
        }
        places[id] = (header.conversation, turns(in: header.conversation))
    }
}
