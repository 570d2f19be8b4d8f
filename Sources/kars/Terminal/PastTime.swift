import CommandTree
import FoundationEssentials

/// A moment as people name it: how long ago (`10m`), or a date and time with its zone (`2026-11-30T15:00:00Z`).
enum PastTime {
    /// - Returns: milliseconds since 1970, or nil when the text is neither.
    static func parse(_ text: String, now: Date = Date()) -> Int? {
        if let ago = DurationText.parse(text) {
            return milliseconds(now) - Int(ago.components.seconds) * 1000
        }
        // Foundation takes what merely begins with a date.
        let form = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)/
        guard text.wholeMatch(of: form) != nil else { return nil }
        let date = (try? Date(text, strategy: .iso8601))
            ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
        return date.map(milliseconds)
    }

    /// - Throws: a usage error that names the option.
    static func option(_ name: String, _ invocation: Invocation) throws(UsageError) -> Int? {
        guard let text = invocation.value(name) else { return nil }
        if let time = parse(text) { return time }
        throw .invalidValue(
            source: "--\(name)", wanted: "a time such as 10m, 2h or 2026-11-30T15:00:00Z", value: text, suggestion: nil)
    }

    private static func milliseconds(_ date: Date) -> Int { Int((date.timeIntervalSince1970 * 1000).rounded()) }
}
