import CommandTree
import FoundationEssentials

/// How a command prints what it found.
enum OutputFormat: String, CaseIterable {
    case table, json

    static let option = Option.value(
        "output", short: "o", "format", help: "How to print the result", defaultValue: table.rawValue,
        allowed: allCases.map(\.rawValue))

    init(_ invocation: Invocation) {
        self = invocation.value("output").flatMap(OutputFormat.init) ?? .table
    }

    /// Prints a result: as JSON with sorted keys and ISO 8601 dates, or as the table `text` makes.
    static func print(_ value: some Encodable, _ invocation: Invocation, text: () -> String) throws {
        switch OutputFormat(invocation) {
        case .table: try Console.write(text())
        case .json: try Console.line(json(value))
        }
    }

    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

/// A date as commands print it: `2026-11-24 09:30 UTC`.
func shown(_ date: Date) -> String {
    let text = date.ISO8601Format()
    return text.prefix(16).replacing("T", with: " ") + " UTC"
}

/// Facts one under the other, their names aligned.
func facts(_ rows: [(String, String)]) -> String {
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { name, value in
        name + ":" + String(repeating: " ", count: width - name.count + 2) + value + "\n"
    }.joined()
}
