import FoundationEssentials

/// Identity and sessions beside libsodium's own primitives, on one core.
@main
enum BenchProgram {
    private struct Operation {
        let name: String
        let ours: () throws -> Void
        let limit: () -> Void
    }

    /// `kars-bench [file]`: the file holds what `python_bench.py` printed.
    static func main() throws {
        let work = try Work()
        let primitives = Primitives(text: work.text, size: Work.messageSize)
        let python = try pythonRates()
        print("| Operation | a second and core | primitives alone | share of the limit | Python library | times Python |")
        print("|---|---:|---:|---:|---:|---:|")
        for operation in operations(work, primitives) {
            let rates = try Stopwatch.rates([operation.ours, operation.limit])
            let other = python[operation.name]
            print(
                "| \(operation.name) | \(whole(rates[0])) | \(whole(rates[1])) | \(whole(100 * rates[0] / rates[1])) % "
                    + "| \(other.map(whole) ?? "–") | \(other.map { "\(tenths(rates[0] / $0))×" } ?? "–") |")
        }
    }

    private static func operations(_ work: Work, _ primitives: Primitives) -> [Operation] {
        let bytes = "\(Work.messageSize) bytes"
        return [
            Operation(name: "sign", ours: work.sign, limit: primitives.sign),
            Operation(name: "verify", ours: work.verify, limit: primitives.verify),
            Operation(name: "X3DH, initiator", ours: work.initiate, limit: primitives.initiate),
            Operation(name: "X3DH, responder", ours: work.respond, limit: primitives.respond),
            Operation(name: "ratchet, encrypt \(bytes)", ours: work.encrypt, limit: primitives.encrypt),
            Operation(name: "ratchet, decrypt \(bytes)", ours: work.decrypt, limit: primitives.decrypt),
        ]
    }

    private static func pythonRates() throws -> [String: Double] {
        guard let file = CommandLine.arguments.dropFirst().first else { return [:] }
        return try JSONDecoder().decode([String: Double].self, from: Data(contentsOf: URL(filePath: file)))
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func whole(_ value: Double) -> String { String(Int(value.rounded())) }
}
