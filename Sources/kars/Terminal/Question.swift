import CommandTree

/// Questions to a person at a terminal, on standard error so that standard output holds results alone.
enum Question {
    /// One of a list, by number or by name; an empty answer takes the first.
    ///
    /// - Returns: the place in the list.
    static func choice(_ question: String, _ choices: [(name: String, note: String)]) throws -> Int {
        Console.complain(question)
        let width = choices.map(\.name.count).max() ?? 0
        for (index, choice) in choices.enumerated() {
            let padding = String(repeating: " ", count: width - choice.name.count)
            let note = choice.note.isEmpty ? "" : "\(padding)   \(choice.note)"
            Console.complain("  \(index + 1)  \(choice.name)\(note)")
        }
        while true {
            let answer = try text("Number", defaultValue: "1")
            if let number = Int(answer), choices.indices.contains(number - 1) { return number - 1 }
            if let index = choices.firstIndex(where: { $0.name.lowercased() == answer.lowercased() }) { return index }
            Console.complain("Give a number from 1 to \(choices.count).")
        }
    }

    /// A line of text; an empty answer takes the default, and is asked again without one.
    ///
    /// - Parameter check: what is wrong with an answer; nil when nothing is.
    static func text(
        _ question: String, defaultValue: String? = nil, check: (String) -> String? = { _ in nil }
    ) throws -> String {
        while true {
            Console.prompt(question + (defaultValue.map { " [\($0)]" } ?? "") + ": ")
            guard let line = readLine() else { throw givenUp() }
            let typed = line.trimmingWhitespace
            guard let answer = typed.isEmpty ? defaultValue : typed else {
                Console.complain("It cannot be empty; Ctrl-C gives up.")
                continue
            }
            guard let problem = check(answer) else { return answer }
            Console.complain(problem)
        }
    }

    /// Yes or no; an empty answer is no.
    static func yes(_ question: String) throws -> Bool {
        Console.prompt("\(question)? [y/N] ")
        guard let answer = readLine() else { throw givenUp() }
        return ["y", "yes"].contains(answer.trimmingWhitespace.lowercased())
    }

    /// The end of a command whose person went away, after a line that says so.
    static func givenUp() -> CommandEnd {
        Console.complain("Given up; what was not confirmed is not stored.")
        return CommandEnd(status: CommandRunner.failed)
    }
}
