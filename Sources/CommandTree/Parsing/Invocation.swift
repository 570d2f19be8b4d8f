/// What the user asked for: a command, its arguments and the values of its options.
///
/// Asking for an option or argument the command does not describe is a mistake of ours and traps.
public struct Invocation: Sendable {
    /// Where an option's value came from.
    enum Source: Sendable, Equatable {
        case commandLine
        case environment(String)
        case defaultValue
    }

    /// An option's value; flags hold "true" or "false".
    struct Setting: Sendable {
        var words: [String]
        var source: Source
    }

    /// The program's name and the commands below it: `["kars", "mesh", "status"]`.
    public let path: [String]
    /// The environment the command line was read in.
    public let environment: [String: String]
    let command: Command
    let settings: [String: Setting]
    let positionals: [String]

    /// Whether a flag is on.
    public func flag(_ name: String) -> Bool {
        setting(name)?.words.last == "true"
    }

    /// The value of an option: command line, else environment, else default, else nil.
    public func value(_ name: String) -> String? {
        setting(name)?.words.last
    }

    /// The values of an option that collects them; empty when there are none.
    public func values(_ name: String) -> [String] {
        setting(name)?.words ?? []
    }

    /// Whether the command line or the environment, not the default, says something about an option.
    public func isGiven(_ name: String) -> Bool {
        setting(name).map { $0.source != .defaultValue } ?? false
    }

    /// Whether the command has an option of this name; for code that serves several commands.
    public func hasOption(_ name: String) -> Bool { command.option(long: name) != nil }

    /// The value of an option as a whole number.
    ///
    /// - Throws: ``UsageError/invalidValue(source:wanted:value:suggestion:)`` naming the option or variable.
    public func integer(
        _ name: String, in bounds: ClosedRange<Int> = .min ... .max
    ) throws(UsageError) -> Int? {
        guard let value = value(name) else { return nil }
        guard let number = Int(value), bounds.contains(number) else {
            throw invalid(name, .integer(bounds), value)
        }
        return number
    }

    /// The value of an option as a length of time.
    ///
    /// - Throws: ``UsageError/invalidValue(source:wanted:value:suggestion:)`` naming the option or variable.
    public func duration(_ name: String) throws(UsageError) -> Duration? {
        guard let value = value(name) else { return nil }
        guard let duration = DurationText.parse(value) else { throw invalid(name, .duration, value) }
        return duration
    }

    /// The value of a positional argument, or nil when it was left out.
    public func argument(_ name: String) -> String? {
        arguments(name).first
    }

    /// The values of a positional argument that takes all words that are left.
    public func arguments(_ name: String) -> [String] {
        guard let index = command.arguments.firstIndex(where: { $0.name == name }) else {
            preconditionFailure("'\(path.joined(separator: " "))' has no argument <\(name)>")
        }
        guard index < positionals.count else { return [] }
        return command.arguments[index].isVariadic ? Array(positionals[index...]) : [positionals[index]]
    }

    /// The value of a positional argument the command cannot do without, or of an option that it cannot or that has a
    /// default, so that it is there.
    public func required(_ name: String) -> String {
        guard let value = hasOption(name) ? value(name) : argument(name) else {
            preconditionFailure("\(name) of '\(path.joined(separator: " "))' is optional")
        }
        return value
    }

    private func setting(_ name: String) -> Setting? {
        precondition(
            command.option(long: name) != nil,
            "'\(path.joined(separator: " "))' has no option --\(name)")
        return settings[name]
    }

    private func invalid(_ name: String, _ kind: ValueKind, _ value: String) -> UsageError {
        var source = "--\(name)"
        if case .environment(let variable)? = settings[name]?.source { source = variable }
        return .invalidValue(source: source, wanted: kind.wanted, value: value, suggestion: nil)
    }
}
