/// What a value must look like. It is checked before a command runs.
public enum ValueKind: Sendable {
    /// Any text but the empty one.
    case text
    /// The path of a file; shells complete it.
    case file
    /// The path of a folder; shells complete it.
    case directory
    /// A whole number within bounds.
    case integer(ClosedRange<Int>)
    /// A length of time: `90d`, `24h`, `30m`, `15s`, or several such parts (see ``DurationText``).
    case duration
    /// `HOST:PORT`, IPv6 hosts in brackets.
    case endpoint
    /// An absolute URL with one of these schemes.
    case url(schemes: [String])
}

extension ValueKind {
    /// What is wanted, as it follows "wants" in a message.
    var wanted: String {
        switch self {
        case .text: "a value"
        case .file: "a file"
        case .directory: "a folder"
        case .integer(let bounds): "a whole number from \(bounds.lowerBound) to \(bounds.upperBound)"
        case .duration: "a time such as 90d, 24h, 30m or 15s"
        case .endpoint: "HOST:PORT such as 127.0.0.1:8080"
        case .url(let schemes): "a URL that starts with " + either(schemes.map { $0 + "://" })
        }
    }

    /// Whether a value has this look.
    func accepts(_ value: String) -> Bool {
        if value.isEmpty { return false }
        switch self {
        case .text, .file, .directory: return true
        case .integer(let bounds): return Int(value).map(bounds.contains) ?? false
        case .duration: return DurationText.parse(value) != nil
        case .endpoint: return ValueKind.isEndpoint(value)
        case .url(let schemes):
            return schemes.contains { scheme in
                let prefix = scheme + "://"
                let host = value.dropFirst(prefix.count)
                return value.lowercased().hasPrefix(prefix)
                    && host.first.map { !"/:?#@".contains($0) } ?? false
                    && !value.contains(where: \.isWhitespace)
            }
        }
    }

    private static func isEndpoint(_ value: String) -> Bool {
        guard let colon = value.lastIndex(of: ":") else { return false }
        let host = value[..<colon]
        let port = value[value.index(after: colon)...]
        guard !host.isEmpty, !host.contains(where: \.isWhitespace) else { return false }
        if host.contains(where: { ":[]".contains($0) }) {
            guard host.hasPrefix("["), host.hasSuffix("]"), host.count > 2 else { return false }
        }
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
        return UInt16(port) != nil
    }
}

/// Joins words as a person would: `a`, `a or b`, `a, b or c`.
func either(_ words: [String]) -> String {
    guard words.count > 1 else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " or " + words[words.count - 1]
}
