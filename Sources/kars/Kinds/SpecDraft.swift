import CommandTree
import Resources

/// Builds a spec out of the options that were given; what was not given is left out.
struct SpecDraft {
    let invocation: Invocation
    private(set) var spec: JSONValue = [:]

    init(_ invocation: Invocation) {
        self.invocation = invocation
    }

    mutating func text(_ option: String, _ path: String...) {
        if let value = invocation.value(option) { set(path, .string(value)) }
    }

    mutating func number(_ option: String, _ path: String...) throws(UsageError) {
        if let value = try invocation.integer(option) { set(path, .int(Int64(value))) }
    }

    mutating func list(_ option: String, _ path: String...) {
        let values = invocation.values(option)
        if !values.isEmpty { set(path, .array(values.map(JSONValue.string))) }
    }

    /// Sets a value when the flag is on.
    mutating func flag(_ option: String, _ path: String..., value: JSONValue = true) {
        if invocation.flag(option) { set(path, value) }
    }

    /// Labels as `key=value`.
    mutating func labels(_ option: String, _ path: String...) throws(UsageError) {
        let values = invocation.values(option)
        guard !values.isEmpty else { return }
        var labels: [String: JSONValue] = [:]
        for value in values {
            guard let sign = value.firstIndex(of: "="), sign != value.startIndex else {
                throw .invalidValue(source: "--\(option)", wanted: "key=value", value: value, suggestion: nil)
            }
            labels[String(value[..<sign])] = .string(String(value[value.index(after: sign)...]))
        }
        set(path, .object(labels))
    }

    mutating func set(_ path: [String], _ value: JSONValue) {
        spec[path: path] = value
    }
}

extension Option {
    /// A bound that goes into a spec as a whole number.
    static func number(_ long: String, help: String, from least: Int = 0) -> Option {
        .value(long, "n", kind: .integer(least...Int(UInt32.max)), help: help)
    }

    /// Labels of sandboxes.
    static func labels(_ long: String) -> Option {
        .list(long, "key=value", commaSeparated: false, help: "Label a sandbox must have")
    }

    static let displayName = Option.value("display-name", "text", help: "Name for people")
}
