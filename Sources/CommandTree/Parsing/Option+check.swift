extension Option {
    /// Refuses a value that does not have the look the option asks for.
    ///
    /// - Parameter source: what to blame: the flag as typed, or the variable.
    func check(_ value: String, source: String) throws(UsageError) {
        try checkValue(value, kind: valueKind ?? .text, allowed: allowed, source: source)
    }

    /// The words an environment variable stands for; a flag becomes "true" or "false".
    func words(fromVariable variable: String, _ text: String) throws(UsageError) -> [String] {
        guard case .flag = kind else {
            let words = values(in: text)
            for word in words { try check(word, source: variable) }
            return words
        }
        switch text.lowercased() {
        case "1", "true", "yes", "on": return ["true"]
        case "0", "false", "no", "off": return ["false"]
        default:
            throw .invalidValue(source: variable, wanted: "true or false", value: text, suggestion: nil)
        }
    }
}

extension Argument {
    /// Refuses a value that does not have the look the argument asks for.
    func check(_ value: String) throws(UsageError) {
        try checkValue(value, kind: kind, allowed: allowed, source: "<\(name)>")
    }
}

private func checkValue(
    _ value: String, kind: ValueKind, allowed: [String]?, source: String
) throws(UsageError) {
    if let allowed {
        guard !allowed.contains(value) else { return }
        throw .invalidValue(
            source: source, wanted: either(allowed), value: value,
            suggestion: Suggestion.nearest(to: value, among: allowed))
    }
    guard kind.accepts(value) else {
        throw .invalidValue(source: source, wanted: kind.wanted, value: value, suggestion: nil)
    }
}
