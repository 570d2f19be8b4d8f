extension Option {
    /// `-y, --yes`, `    --to <target>`, `    --[no-]mesh`
    var label: String {
        let name = isNegatable ? "--[no-]\(long)" : "--\(long)"
        let value = valueName.map { " <\($0)>" } ?? ""
        return (short.map { "-\($0), " } ?? "    ") + name + value
    }

    /// The help and, in brackets, what else a person must know: choices, default, repetition, variable.
    var helpText: String {
        let facts = facts
        return facts.isEmpty ? help : "\(help) (\(facts.joined(separator: "; ")))"
    }

    /// Choices, default, repetition and variable, each a few words.
    var facts: [String] {
        var facts: [String] = []
        if let allowed { facts.append("one of: " + allowed.joined(separator: ", ")) }
        if case .list(_, _, let commaSeparated) = kind {
            facts.append(commaSeparated ? "comma-separated or repeated" : "may be repeated")
        }
        if isRequired { facts.append("required") }
        if let text = defaultText { facts.append("default: " + text) }
        if let environment { facts.append("env: " + environment) }
        return facts
    }

    /// The default as help shows it.
    var defaultText: String? {
        if let defaultNote { return defaultNote }
        if case .flag = kind { return defaultValue == "true" ? "on" : nil }
        return defaultValue
    }
}

extension Argument {
    /// The help and the choices.
    var helpText: String {
        allowed.map { "\(help) (one of: \($0.joined(separator: ", ")))" } ?? help
    }
}

extension Command {
    /// Every variable the command reads: those that stand in for options, then the others.
    var variables: [EnvironmentVariable] {
        shownOptions.compactMap { option in
            option.environment.map { EnvironmentVariable($0, help: "Stands in for --\(option.long)") }
        } + environment
    }
}
