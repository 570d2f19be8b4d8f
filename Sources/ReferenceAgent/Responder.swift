/// The built-in answerer: no model, no network, the same answer to the same conversation every time.
///
/// It exists to show that memory lives: it speaks of the previous message, `recall N` returns the user's
/// message N, `remember …` keeps a note and `recall` returns the latest one.
enum Responder {
    static let noteWord = "remember"
    /// Characters of an earlier message quoted in passing; `recall` returns the whole.
    static let quoteLength = 200

    /// What an answer can need from the past. Each closure reads the journal at most once.
    struct Memory {
        let previous: String?
        /// Turns before this one.
        let turnsBefore: Int
        let message: (_ turn: Int) throws(AgentError) -> String
        let latestNote: () throws(AgentError) -> String?
    }

    /// Compared by bytes, as the journal's index does.
    static func isNote(_ message: String) -> Bool { message.utf8.starts(with: (noteWord + " ").utf8) }

    private static func note(in message: String) -> String {
        String(decoding: message.utf8.dropFirst(noteWord.utf8.count + 1), as: UTF8.self)
    }

    static func reply(to message: String, memory: Memory) throws(AgentError) -> String {
        let words = message.split(separator: " ", maxSplits: 2)
        if isNote(message) {
            return "I will remember: " + quote(note(in: message))
        }
        if words.first == "recall", words.count == 1 {
            guard let note = try memory.latestNote() else { return "I was not asked to remember anything." }
            return self.note(in: note)
        }
        if words.first == "recall", words.count == 2, let turn = Int(words[1]) {
            guard turn >= 1, turn <= memory.turnsBefore else {
                return "This conversation has no message \(turn) yet."
            }
            return try memory.message(turn)
        }
        guard let previous = memory.previous else {
            return "You said: \(quote(message)). This is our first turn."
        }
        return "You said: \(quote(message)). Before that, in turn \(memory.turnsBefore), you said: "
            + "\(quote(previous))."
    }

    private static func quote(_ text: String) -> String {
        text.count <= quoteLength ? text : text.prefix(quoteLength) + "…"
    }
}
