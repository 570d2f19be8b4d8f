extension CommandLineProgram {
    /// What in the description contradicts itself, one sentence each; a test keeps this empty.
    public var contradictions: [String] {
        CommandPlace(self).withDescendants.flatMap { place in
            (commandProblems(place.command) + optionProblems(place.command) + argumentProblems(place.command))
                .map { "\(place.line): \($0)" }
        }
    }

    private func commandProblems(_ command: Command) -> [String] {
        var problems: [String] = []
        if command.summary.isEmpty || command.summary.hasSuffix(".") {
            problems.append("the summary is a phrase without full stop")
        }
        let isBuiltIn = command.name == name || command.name == BuiltIn.helpCommand
        if command.run == nil, command.subcommands.isEmpty, !isBuiltIn {
            problems.append("the command neither runs nor holds commands")
        }
        let words = command.subcommands.flatMap { [$0.name] + $0.aliases }
        problems += repeated(words + command.later).map { "'\($0)' names two commands" }
        return problems
    }

    private func optionProblems(_ command: Command) -> [String] {
        let longs = command.options.flatMap { $0.isNegatable ? [$0.long, "no-" + $0.long] : [$0.long] }
        let shorts = command.options.compactMap { $0.short.map(String.init) }
        let later = command.laterOptions.map { String($0.drop { $0 == "-" }) }
        var problems = repeated(longs + shorts + later).map { "'\($0)' names two options" }
        problems += repeated(command.options.compactMap(\.environment)).map {
            "\($0) stands in for two options"
        }
        for option in command.options {
            if option.help.isEmpty || option.help.hasSuffix(".") {
                problems.append("the help of --\(option.long) is a phrase without full stop")
            }
            for other in option.conflicts where command.option(long: other) == nil {
                problems.append("--\(option.long) excludes --\(other), which is unknown")
            }
            if let value = option.defaultValue, option.valueKind != nil {
                for word in option.values(in: value) {
                    do throws(UsageError) {
                        try option.check(word, source: "the default of --\(option.long)")
                    } catch {
                        problems.append(error.description)
                    }
                }
            }
        }
        return problems
    }

    private func argumentProblems(_ command: Command) -> [String] {
        var problems = repeated(command.arguments.map(\.name)).map { "<\($0)> names two arguments" }
        for (argument, next) in zip(command.arguments, command.arguments.dropFirst()) {
            if argument.isVariadic { problems.append("<\(argument.name)> leaves nothing for <\(next.name)>") }
            if argument.isOptional, !next.isOptional {
                problems.append("<\(next.name)> is needed but follows the optional <\(argument.name)>")
            }
        }
        return problems
    }

    private func repeated(_ words: [String]) -> [String] {
        var seen: Set<String> = []
        return words.filter { !seen.insert($0).inserted }
    }
}
