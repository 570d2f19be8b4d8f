import CommandTree
import Offload

/// The bounds of offloads that operators change, as options of `kars node` (design decision 10).
enum OffloadOptions {
    static let all: [Option] = [
        count(
            "max-offloads", 1...1_000, "Offloads of other peers at one time, whatever their pairings allow",
            standard.open),
        count(
            "offload-files", 0...100_000, "Names of files and folders that go with an offload, or come back",
            standard.files),
        count("offload-mib", 0...256, "MiB of all of them", standard.bytes >> 20),
        .value(
            "offload-keep", "time", kind: .duration, help: "How long what an offload made waits for its requester",
            defaultValue: "24h", environment: ServiceOptions.variable("node", "offload-keep")),
    ]

    private static let standard = OffloadLimits()

    private static func count(_ name: String, _ bounds: ClosedRange<Int>, _ help: String, _ value: Int) -> Option {
        .value(
            name, "n", kind: .integer(bounds), help: help, defaultValue: "\(value)",
            environment: ServiceOptions.variable("node", name))
    }

    /// The standard bounds with what was given.
    static func limits(_ invocation: Invocation) throws(UsageError) -> OffloadLimits {
        var limits = standard
        if let number = try invocation.integer("max-offloads") { limits.open = number }
        if let number = try invocation.integer("offload-files") { limits.files = number }
        if let number = try invocation.integer("offload-mib") { limits.bytes = number << 20 }
        if let time = try invocation.duration("offload-keep") { limits.keptFor = Int(time.components.seconds) }
        return limits
    }
}
