import FoundationEssentials

/// How a run went.
struct LoadReport: Encodable, Sendable {
    let sent: Int
    let answered: Int
    let failed: Int
    /// How often each reason occurred.
    let failures: [String: Int]
    /// Failures of requests that were made again, and how often each reason occurred.
    let repeated: Int
    let repeats: [String: Int]
    /// Answers that did not know what was said before.
    let lostMemory: Int
    let lostMemoryExamples: [String]
    let conversations: Int
    let latencyP50Milliseconds: Double
    let latencyP99Milliseconds: Double
    let latencyMaxMilliseconds: Double
    /// Longest time of the load without an answer.
    let longestGapMilliseconds: Double
    let durationSeconds: Double

    var isClean: Bool { failed == 0 && lostMemory == 0 && answered == sent }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    var table: String {
        var lines = [
            "sent          \(sent) in \(durationSeconds) s, \(conversations) conversations",
            "answered      \(answered)",
            "failed        \(failed)",
        ]
        for (reason, count) in failures.sorted(by: { $0.value > $1.value }) {
            lines.append("              \(count) × \(reason)")
        }
        if repeated > 0 { lines.append("repeated      \(repeated)") }
        for (reason, count) in repeats.sorted(by: { $0.value > $1.value }) {
            lines.append("              \(count) × \(reason)")
        }
        lines.append("lost memory   \(lostMemory)")
        lines += lostMemoryExamples.map { "              \($0)" }
        lines += [
            "latency       p50 \(latencyP50Milliseconds) ms, p99 \(latencyP99Milliseconds) ms, "
                + "max \(latencyMaxMilliseconds) ms",
            "longest gap   \(longestGapMilliseconds) ms",
        ]
        return lines.joined(separator: "\n") + "\n"
    }
}
