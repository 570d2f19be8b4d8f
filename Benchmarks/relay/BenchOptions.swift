import Foundation

/// What one run measures.
struct BenchOptions: Sendable {
    /// Pairs of clients in each round.
    var pairs = [1, 50, 500]
    /// Messages under way per round, shared by its pairs; at least 1 each.
    var window = 256
    /// Length of each measurement.
    var seconds = 3.0
    /// Bytes of a message's ciphertext.
    var size = 1_024
    /// Connections opened for the figure of memory.
    var idle = 2_000
    /// Messages stored and drained.
    var stored = 40_000
    /// The `kars` to measure: by default the one beside this program.
    var kars = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/kars"
    /// A Python with `agentmesh-platform`, to measure the reference relay as well.
    var python: String?
    /// Whether this process is the forwarder the others are compared with.
    var isForwarder = false

    static let usage = """
        usage: kars-bench-relay [--pairs 1,50,500] [--window 256] [--seconds 3] [--size 1024] [--idle 2000]
                                [--stored 40000] [--kars PATH] [--python PATH]
        """

    /// - Throws: ``BenchError/usage`` for anything it does not know.
    init(_ arguments: [String]) throws(BenchError) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            if name == "--forwarder" {
                isForwarder = true
                continue
            }
            guard let value = rest.popFirst() else { throw .usage }
            switch name {
            case "--pairs":
                pairs = []
                for part in value.split(separator: ",") { pairs.append(try Self.count(String(part))) }
            case "--window": window = try Self.count(value)
            case "--seconds": seconds = Double(try Self.count(value))
            case "--size": size = try Self.count(value)
            case "--idle": idle = try Self.count(value)
            case "--stored": stored = try Self.count(value)
            case "--kars": kars = value
            case "--python": python = value
            default: throw .usage
            }
        }
    }

    private static func count(_ text: String) throws(BenchError) -> Int {
        guard let number = Int(text), number > 0 else { throw .usage }
        return number
    }
}

/// Why a measurement ends early.
enum BenchError: Error, CustomStringConvertible {
    case usage
    /// A server did not start: its name.
    case noServer(String)
    /// A step took too long: what was waited for.
    case timedOut(String)

    var description: String {
        switch self {
        case .usage: BenchOptions.usage
        case .noServer(let name): "\(name) did not start"
        case .timedOut(let what): "gave up waiting for \(what)"
        }
    }
}
