/// What is wrong with a command line. Each becomes exactly one line on standard error, exit code 2.
public enum UsageError: Error, Equatable, CustomStringConvertible {
    /// A word where a command was due; the name it resembles, if one.
    case unknownCommand(String, suggestion: String?)
    /// A command that only holds others was called alone.
    case missingCommand(among: [String])
    /// A command of the contract, as typed after the program's name, that this version does not have.
    case laterCommand(String)
    /// An option of the contract that this version does not have.
    case laterOption(String)
    /// An option the command does not have, and the one it resembles.
    case unknownFlag(String, suggestion: String?)
    /// An option stands without its value.
    case missingValue(flag: String, valueName: String)
    /// A value was glued to an option that takes none.
    case unexpectedValue(flag: String, negation: String?)
    /// A value of the wrong look; the source is an option, argument or variable.
    case invalidValue(source: String, wanted: String, value: String, suggestion: String?)
    /// An option the command needs.
    case missingFlag(String, valueName: String)
    /// An argument the command needs.
    case missingArgument(String)
    /// One word more than the command takes.
    case unexpectedArgument(String, takes: String)
    /// Two options, or variables, that cannot stand together.
    case conflict(String, String)
    /// What a command itself found wrong: cause and next step, lower case, without full stop.
    case refused(String)

    /// The sentence without the program's name.
    public var description: String {
        switch self {
        case .unknownCommand(let word, let suggestion):
            "unknown command \(PrintableText.quoted(word))" + question(suggestion)
        case .missingCommand(let names):
            names.count > 8
                ? "missing command" : "missing command; give one of \(names.joined(separator: ", "))"
        case .laterCommand(let name): "\(PrintableText.quoted(name)) is not in this version"
        case .laterOption(let flag): "\(flag) is not in this version"
        case .unknownFlag(let flag, let suggestion):
            "unknown flag \(PrintableText.shortened(flag))" + question(suggestion)
        case .missingValue(let flag, let valueName):
            "\(flag) needs a value: \(flag)\(flag.hasPrefix("--") ? "=" : " ")<\(valueName)>"
        case .unexpectedValue(let flag, let negation):
            "\(flag) takes no value" + (negation.map { "; \($0) switches it off" } ?? "")
        case .invalidValue(let source, let wanted, let value, let suggestion):
            "\(source) wants \(wanted), not \(PrintableText.quoted(value))" + question(suggestion)
        case .missingFlag(let flag, let valueName): "\(flag) <\(valueName)> is required"
        case .missingArgument(let name): "missing argument <\(name)>"
        case .unexpectedArgument(let word, let takes):
            "unexpected argument \(PrintableText.quoted(word)); it takes \(takes)"
        case .conflict(let first, let second): "\(first) and \(second) exclude each other; give one"
        case .refused(let sentence): PrintableText.escaped(sentence)
        }
    }

    /// The whole line for standard error, without a newline.
    ///
    /// - Parameter path: the program's name and the commands below it, as in ``Invocation/path``.
    public func line(at path: [String]) -> String {
        let command = path.joined(separator: " ")
        let program = path.first ?? ""
        switch self {
        case .laterCommand: return "\(program): \(description) of \(program)"
        case .laterOption: return "\(command): \(description) of \(program)"
        case .refused: return "\(command): \(description)"
        default: return "\(command): \(description) (see '\(command) --help')"
        }
    }

    private func question(_ suggestion: String?) -> String {
        suggestion.map { "; did you mean \($0)?" } ?? ""
    }
}
