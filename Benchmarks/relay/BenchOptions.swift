import BenchSupport
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
            guard let value = rest.popFirst() else { throw .usage(Self.usage) }
            switch name {
            case "--pairs":
                pairs = []
                for part in value.split(separator: ",") { pairs.append(try BenchNumber.count(String(part), usage: Self.usage)) }
            case "--window": window = try BenchNumber.count(value, usage: Self.usage)
            case "--seconds": seconds = Double(try BenchNumber.count(value, usage: Self.usage))
            case "--size": size = try BenchNumber.count(value, usage: Self.usage)
            case "--idle": idle = try BenchNumber.count(value, usage: Self.usage)
            case "--stored": stored = try BenchNumber.count(value, usage: Self.usage)
            case "--kars": kars = value
            case "--python": python = value
            default: throw .usage(Self.usage)
            }
        }
    }
}
