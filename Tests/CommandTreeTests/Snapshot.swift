import Foundation
import Testing

/// Compares a whole output with the file of that name; `RECORD_SNAPSHOTS=1` writes the files anew.
func expectSnapshot(_ text: String, _ name: String, location: SourceLocation = #_sourceLocation) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Snapshots/\(name)")
    if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] == "1" {
        try text.write(to: file, atomically: true, encoding: .utf8)
    }
    let expected = try String(contentsOf: file, encoding: .utf8)
    guard text != expected else { return }
    let pairs = zip(text.split(separator: "\n"), expected.split(separator: "\n"))
    let difference =
        pairs.first { $0 != $1 }.map { "got '\($0)', the snapshot has '\($1)'" } ?? "the length differs"
    Issue.record("\(name): \(difference)", sourceLocation: location)
}
