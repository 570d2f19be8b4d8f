/// Reads the options and arguments of one command.
struct OptionReader {
    let place: CommandPlace
    private(set) var positionals: [String] = []
    private(set) var asksForHelp = false
    private(set) var asksForVersion = false
    private var given: [String: [String]] = [:]

    init(place: CommandPlace) {
        self.place = place
    }

    private var command: Command { place.command }

    /// Whether a word is an option rather than a value. `-` alone means standard input, and `-5` is a number;
    /// another value that starts with a dash must be glued on: `--name=-x`.
    static func looksLikeFlag(_ word: String) -> Bool {
        guard word.hasPrefix("-"), word.utf8.count > 1 else { return false }
        return !(0x30...0x39).contains(word.utf8[word.utf8.index(after: word.utf8.startIndex)])
    }

    /// Sorts words into options and positional arguments, in any order; `--` ends the options.
    mutating func read(_ words: [String]) throws(UsageError) {
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                positionals += rest
                return
            }
            guard Self.looksLikeFlag(word) else {
                positionals.append(word)
                continue
            }
            if word.hasPrefix("--") {
                try readLong(word, &rest)
            } else {
                try readShort(word, &rest)
            }
        }
    }

    private mutating func readLong(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
        let equals = word.firstIndex(of: "=")
        let flag = String(word[..<(equals ?? word.endIndex)])
        let glued = equals.map { String(word[word.index(after: $0)...]) }
        let name = String(flag.dropFirst(2))
        if let option = command.option(long: name) {
            try take(option, as: flag, glued: glued, &rest)
        } else if name.hasPrefix("no-"), let option = command.option(long: String(name.dropFirst(3))),
            option.isNegatable
        {
            guard glued == nil else { throw .unexpectedValue(flag: flag, negation: nil) }
            given[option.long] = ["false"]
        } else {
            throw unknown(flag)
        }
    }

    private mutating func readShort(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
        var letters = word.dropFirst()
        while let letter = letters.popFirst() {
            guard let option = command.option(short: letter) else {
                // `-name` was more likely meant as `--name` than as five letters.
                throw unknown(command.option(long: String(word.dropFirst())) == nil ? "-\(letter)" : word)
            }
            if option.valueName == nil {
                try take(option, as: "-\(letter)", glued: nil, &rest)
            } else {
                let glued = letters.isEmpty ? nil : String(letters)
                return try take(option, as: "-\(letter)", glued: glued, &rest)
            }
        }
    }

    private mutating func take(
        _ option: Option, as flag: String, glued: String?, _ rest: inout ArraySlice<String>
    ) throws(UsageError) {
        guard let valueName = option.valueName else {
            guard glued == nil else {
                throw .unexpectedValue(
                    flag: flag, negation: option.isNegatable ? "--no-\(option.long)" : nil)
            }
            asksForHelp = asksForHelp || option.long == BuiltIn.help.long
            asksForVersion = asksForVersion || place.isRoot && option.long == BuiltIn.version.long
            given[option.long] = ["true"]
            return
        }
        var value = glued
        if value == nil, let next = rest.first, !Self.looksLikeFlag(next) {
            value = rest.removeFirst()
        }
        guard let value, !value.isEmpty else {
            throw .missingValue(flag: flag, valueName: valueName)
        }
        let words = option.values(in: value)
        for word in words { try option.check(word, source: flag) }
        if case .list = option.kind {
            given[option.long, default: []] += words
        } else {
            given[option.long] = words
        }
    }

    private func unknown(_ flag: String) -> UsageError {
        func bare(_ name: String) -> Substring { name.drop { $0 == "-" } }
        let name = bare(flag)
        if command.laterOptions.contains(where: { bare($0) == name || "no-" + bare($0) == name }) {
            return .laterOption(PrintableText.shortened(flag))
        }
        let names = command.shownOptions.flatMap { $0.spellings.filter { $0.hasPrefix("--") } }
            .map { String($0.dropFirst(2)) }
        let nearest = flag.count > 2 ? Suggestion.nearest(to: String(name), among: names) : nil
        return .unknownFlag(flag, suggestion: nearest.map { "--\($0)" })
    }
}

extension OptionReader {
    /// Fills in the environment and defaults and checks what only the whole line can tell.
    func invocation(environment: [String: String]) throws(UsageError) -> Invocation {
        var settings = given.mapValues { Invocation.Setting(words: $0, source: .commandLine) }
        try refuseConflicts(in: settings)
        for option in command.options where settings[option.long] == nil {
            guard let variable = option.environment, let text = environment[variable], !text.isEmpty else {
                continue
            }
            // The command line outranks the environment also where the two exclude each other.
            if partners(of: option).contains(where: { settings[$0]?.source == .commandLine }) { continue }
            let words = try option.words(fromVariable: variable, text)
            settings[option.long] = Invocation.Setting(words: words, source: .environment(variable))
        }
        try refuseConflicts(in: settings)
        for option in command.options where settings[option.long] == nil {
            if let value = option.defaultValue {
                settings[option.long] = Invocation.Setting(
                    words: option.values(in: value), source: .defaultValue)
            } else if option.isRequired {
                throw .missingFlag("--\(option.long)", valueName: option.valueName ?? "")
            }
        }
        try checkPositionals()
        return Invocation(
            path: place.path, environment: environment, command: command, settings: settings,
            positionals: positionals)
    }

    private func checkPositionals() throws(UsageError) {
        let arguments = command.arguments
        for (index, argument) in arguments.enumerated() {
            guard index < positionals.count else {
                if argument.isOptional { break }
                throw .missingArgument(argument.name)
            }
            for word in argument.isVariadic ? positionals[index...] : positionals[index...index] {
                try argument.check(word)
            }
        }
        if positionals.count > arguments.count, arguments.last?.isVariadic != true {
            let takes =
                arguments.isEmpty ? "no arguments" : "only " + arguments.map(\.usage).joined(separator: " ")
            throw .unexpectedArgument(positionals[arguments.count], takes: takes)
        }
    }

    /// Options that exclude this one, whichever side says so.
    private func partners(of option: Option) -> [String] {
        option.conflicts + command.options.filter { $0.conflicts.contains(option.long) }.map(\.long)
    }

    private func refuseConflicts(in settings: [String: Invocation.Setting]) throws(UsageError) {
        func isOn(_ name: String) -> Bool {
            settings[name].map { $0.words != ["false"] } ?? false
        }
        func label(_ name: String) -> String {
            if case .environment(let variable)? = settings[name]?.source { variable } else { "--\(name)" }
        }
        for option in command.options where isOn(option.long) {
            if let other = option.conflicts.first(where: isOn) {
                throw .conflict(label(option.long), label(other))
            }
        }
    }
}
