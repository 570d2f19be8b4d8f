import CommandTree
import FoundationEssentials
import Glibc
import MeshNode
import Sandboxes

/// How `kars logs` prints lines.
struct LogText {
    /// Each line stands behind the time it was written.
    let hasTimes: Bool
    /// One JSON object a line.
    let isJSON: Bool

    private struct Line: Encodable {
        let service: String
        let time: String?
        let text: String
    }

    func write(_ answer: SandboxLogs.Answer, only log: SandboxLog?) throws {
        // What an agent logs must not drive the operator's terminal; a file gets it as it is.
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var output = ""
        for (index, text) in answer.lines.enumerated() {
            let source = answer.logs.flatMap { $0.indices.contains(index) ? $0[index] : nil } ?? log ?? .agent
            let time = answer.times.flatMap { $0.indices.contains(index) ? $0[index] : nil }.map(LogLine.text(of:))
            if isJSON {
                let line = Line(service: source == .host ? "node-host" : "agent", time: time, text: text)
                output += String(decoding: try encoder.encode(line), as: UTF8.self)
            } else {
                if hasTimes { output += (time ?? "-") + " " }
                if answer.logs != nil, source == .host { output += "node-host: " }
                output += isTerminal ? PrintableText.escaped(text) : text
            }
            output += "\n"
        }
        if !output.isEmpty { try Console.write(output) }
    }
}
