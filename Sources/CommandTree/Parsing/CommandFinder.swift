/// Finds the command a line means. Options may stand before the command's name.
struct CommandFinder {
    /// What the words before the options say.
    enum Finding {
        case command(CommandPlace, words: [String])
        case help(CommandPlace)
        case version
    }

    /// How far the search has come; on an error, the command that did not know the word.
    private(set) var place: CommandPlace

    init(program: CommandLineProgram) {
        place = CommandPlace(program)
    }

    /// Walks down the tree as long as the next positional word names a command.
    ///
    /// - Returns: the command, and all words but the names of commands.
    mutating func find(in arguments: [String]) throws(UsageError) -> Finding {
        var words: [String] = []
        var rest = arguments[...]
        while let word = rest.popFirst() {
            if word == "--" {
                words.append(word)
                break
            }
            if OptionReader.looksLikeFlag(word) {
                if place.isRoot, Self.asksForVersion(word), !words.contains(where: Self.asksForHelp) {
                    return .version
                }
                words.append(word)
                if takesNextWord(word), let next = rest.first, !OptionReader.looksLikeFlag(next) {
                    words.append(next)
                    rest.removeFirst()
                }
                continue
            }
            if let below = place.child(word) {
                place = below
                continue
            }
            if place.command.later.contains(word) { throw laterCommand(word) }
            let takesCommandOnly = place.command.arguments.isEmpty && !place.command.subcommands.isEmpty
            if takesCommandOnly {
                if words.contains(where: Self.asksForHelp) { return .help(place) }
                if word == BuiltIn.helpCommand { return .help(try follow(Array(rest))) }
                throw unknownCommand(word)
            }
            words.append(word)
            break
        }
        return .command(place, words: words + rest)
    }

    /// Walks down names of commands and nothing else, as `help` takes them.
    mutating func follow(_ names: [String]) throws(UsageError) -> CommandPlace {
        for name in names {
            if let below = place.child(name) {
                place = below
            } else if place.command.later.contains(name) {
                throw laterCommand(name)
            } else {
                throw unknownCommand(name)
            }
        }
        return place
    }

    private static func asksForHelp(_ word: String) -> Bool {
        word == "--help" || word == "-h"
    }

    private static func asksForVersion(_ word: String) -> Bool {
        word == "--version" || word == "-V"
    }

    private func laterCommand(_ word: String) -> UsageError {
        .laterCommand((place.path.dropFirst() + [word]).joined(separator: " "))
    }

    private func unknownCommand(_ word: String) -> UsageError {
        let names = place.command.shownSubcommands.flatMap { [$0.name] + $0.aliases }
        return .unknownCommand(word, suggestion: Suggestion.nearest(to: word, among: names))
    }

    /// Whether an option takes the next word, here or in a command below, which is not known yet.
    private func takesNextWord(_ flag: String) -> Bool {
        func takes(_ command: Command) -> Bool {
            let option =
                flag.hasPrefix("--")
                ? command.option(long: String(flag.dropFirst(2)))
                : (flag.count == 2 ? command.option(short: flag.last!) : nil)
            return option.map { $0.valueName != nil } ?? command.subcommands.contains(where: takes)
        }
        return takes(place.command)
    }
}
