import Foundation

/// Why a measurement ends early.
package enum BenchError: Error, CustomStringConvertible {
    /// The command line makes no sense: how it is meant.
    case usage(String)
    /// A server did not start: its name.
    case noServer(String)
    /// A step took too long: what was waited for.
    case timedOut(String)
    case badAnswer(String)

    package var description: String {
        switch self {
        case .usage(let text): text
        case .noServer(let name): "\(name) did not start"
        case .timedOut(let what): "gave up waiting for \(what)"
        case .badAnswer(let text): "unexpected answer: \(text)"
        }
    }
}

/// Numbers on a command line.
package enum BenchNumber {
    package static func count(_ text: String, usage: String) throws(BenchError) -> Int {
        guard let number = Int(text), number > 0 else { throw .usage(usage) }
        return number
    }
}

/// Figures in columns.
package enum BenchTable {
    package static func row(_ cells: [String]) -> String {
        cells.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, 14 - cell.count))
            return index == 0 ? cell + padding : padding + cell
        }.joined()
    }

    package static func number(_ value: Double, _ digits: Int = 0) -> String {
        String(format: "%.\(digits)f", value)
    }
}
