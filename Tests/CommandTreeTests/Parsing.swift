import CommandTree
import Testing

/// The invocation of a line that must be right.
func invocation(
    _ line: String..., environment: [String: String] = [:], location: SourceLocation = #_sourceLocation
) throws -> Invocation {
    let outcome = sample.parse(line, environment: environment)
    guard case .run(_, let invocation) = outcome else {
        Issue.record("\(line) gave \(outcome)", sourceLocation: location)
        throw UsageError.refused("not an invocation")
    }
    return invocation
}

/// The message of a line that must be wrong.
func message(_ line: [String], environment: [String: String] = [:]) -> String {
    switch sample.parse(line, environment: environment) {
    case .usageError(let message): message
    case .print: "(printed)"
    case .run: "(ran)"
    }
}

/// What a line prints.
func printed(_ line: String..., terminal: TerminalStyle = .plain) -> String {
    if case .print(let text) = sample.parse(line, terminal: terminal) { text } else { "(not printed)" }
}

/// Words between blanks.
func words(_ line: String) -> [String] {
    line.split(separator: " ").map(String.init)
}
