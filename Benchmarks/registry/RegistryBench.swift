import BenchSupport
import Foundation
import MeshIdentity

/// Measures `kars registry` at several sizes and, if asked to, the Python reference registry beside it, in one run, so
/// that the ratios hold on any machine.
@main
struct RegistryBench {
    static func main() async {
        do {
            try await measure(try BenchOptions(Array(CommandLine.arguments.dropFirst())))
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            exit(1)
        }
    }

    private static func measure(_ options: BenchOptions) async throws {
        print("\(options.connections) connections, \(Int(options.seconds)) s a figure; rates and delays as clients see them")
        print(BenchTable.row(["registry", "agents", "request", "per second", "p50 ms", "p99 ms", "CPU µs"]))
        var costs: [String: [String: Double]] = [:]
        if let python = options.python {
            let server = try await ServerProcess(
                name: "python registry", python, { _ in [options.pythonScript] }, place: { "127.0.0.1:\($0.digits(after: "\"registry\":"))" })
            defer { server.stop() }
            let world = try World(server: server, options: options)
            try world.grow(to: options.pythonAgents)
            for figure in try world.figures() {
                show("python", world, figure)
                costs["python", default: [:]][figure.name] = figure.cost
            }
        }
        let server = try await ServerProcess(
            name: "kars registry", options.kars,
            {
                [
                    "registry", "--listen", "127.0.0.1:0", "--data", $0 + "/registry", "--max-agents", "10000000",
                    "--requests-per-second", "1000000", "--registrations-per-second", "1000000",
                ]
            })
        defer { server.stop() }
        let world = try World(server: server, options: options)
        var lookups: [(size: Int, figure: World.Figure)] = []
        for size in options.sizes.sorted() {
            try world.grow(to: size)
            for figure in try world.figures() {
                show("kars", world, figure)
                costs["kars", default: [:]][figure.name] = figure.cost
                if figure.name == "lookup" { lookups.append((size, figure)) }
            }
            let half = try world.lookupsAtHalf(of: lookups.last?.figure.perSecond ?? 1)
            show("kars", world, half)
        }
        print("")
        if let first = lookups.first, let last = lookups.last, last.size > first.size {
            let ratio = last.figure.cost / first.figure.cost
            print("a lookup at \(last.size) agents costs \(BenchTable.number(ratio, 2)) times one at \(first.size) (aim: at most 1.30)")
        }
        // By processor time: on few cores the load shares them with the registry.
        if let python = costs["python"], let kars = costs["kars"] {
            for (name, aim) in [("lookup", "15"), ("register", "5"), ("prekeys", "-"), ("discover", "-")] {
                guard let one = kars[name], let other = python[name] else { continue }
                print("\(name): \(BenchTable.number(other / one, 1)) for the processor time of one of the Python registry (aim: \(aim))")
            }
        }
    }

    private static func show(_ registry: String, _ world: World, _ figure: World.Figure) {
        print(BenchTable.row([
            registry, "\(world.agents)", figure.name, BenchTable.number(figure.perSecond), BenchTable.number(figure.median, 2),
            BenchTable.number(figure.p99, 2), BenchTable.number(figure.cost, 1),
        ]))
        fflush(nil)
    }

}

extension String {
    fileprivate func digits(after text: String) -> String {
        guard let range = range(of: text) else { return "" }
        return String(self[range.upperBound...].drop { !$0.isNumber }.prefix { $0.isNumber })
    }
}

/// What one run measures.
struct BenchOptions: Sendable {
    /// Registered agents at which `kars registry` is measured.
    var sizes = [1_000, 10_000]
    /// The same for the Python registry, which keeps them in memory.
    var pythonAgents = 1_000
    var connections = 8
    /// Length of each measurement.
    var seconds = 3.0
    var kars = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/kars"
    /// A Python with `agentmesh-platform`, to measure the reference registry as well.
    var python: String?
    /// Starts it.
    var pythonScript = "Tests/InteropTests/Python/servers.py"

    static let usage = """
        usage: kars-bench-registry [--sizes 1000,10000] [--connections 8] [--seconds 3] [--kars PATH] [--python PATH]
        """

    init(_ arguments: [String]) throws(BenchError) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw .usage(Self.usage) }
            switch name {
            case "--sizes":
                sizes = []
                for part in value.split(separator: ",") { sizes.append(try BenchNumber.count(String(part), usage: Self.usage)) }
            case "--connections": connections = try BenchNumber.count(value, usage: Self.usage)
            case "--seconds": seconds = Double(try BenchNumber.count(value, usage: Self.usage))
            case "--kars": kars = value
            case "--python": python = value
            default: throw .usage(Self.usage)
            }
        }
    }
}
