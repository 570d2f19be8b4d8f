import BenchSupport
import Foundation
import Transport

/// Measures `kars relay` beside a forwarder on the same transport that does nothing but forward, and, if asked
/// to, beside the Python reference relay. All in one run, so that the ratios hold on any machine.
@main
struct RelayBench {
    static func main() async {
        do {
            let options = try BenchOptions(Array(CommandLine.arguments.dropFirst()))
            if options.isForwarder { try await Forwarder.serve() }
            try await measure(options)
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            exit(1)
        }
    }

    /// One of the servers under comparison.
    private struct Candidate {
        let name: String
        let isRelay: Bool
        /// Whether it says when a message is on disk.
        let confirms: Bool
        let start: () async throws -> ServerProcess
    }

    private static func candidates(_ options: BenchOptions) -> [Candidate] {
        var result = [
            Candidate(name: "forwarder", isRelay: false, confirms: false) {
                try await ServerProcess(name: "forwarder", "/proc/self/exe") { _ in ["--forwarder"] }
            },
            Candidate(name: "kars relay", isRelay: true, confirms: true) {
                try await ServerProcess(name: "kars relay", options.kars) {
                    ["relay", "--listen", "127.0.0.1:0", "--data", $0 + "/relay"]
                }
            },
        ]
        if let python = options.python {
            result.append(
                Candidate(name: "python relay", isRelay: true, confirms: false) {
                    let port = 20_000 + Int(getpid()) % 10_000
                    return try await ServerProcess(
                        name: "python relay", python,
                        { _ in ["-m", "agentmesh.relay", "--port", "\(port)", "--log-level", "error"] },
                        fixedPort: port)
                })
        }
        return result
    }

    private static func measure(_ options: BenchOptions) async throws {
        let loop = try EventLoop(name: "clients")
        show("\(options.size) B of ciphertext, every message acked, \(options.window) under way in all")
        show(BenchTable.row(["server", "pairs", "messages/s", "of limit", "CPU µs/msg", "of limit", "p50 µs", "p99 µs", "of limit"]))
        for pairs in options.pairs {
            var limit: PairLoad.Result?
            for candidate in candidates(options) {
                let server = try await candidate.start()
                defer { server.stop() }
                let result = try await PairLoad(options: options, loop: loop)
                    .run(pairs: pairs, on: server, isRelay: candidate.isRelay)
                let best = limit ?? result
                limit = best
                show(BenchTable.row([
                    candidate.name, "\(pairs)", BenchTable.number(result.perSecond), ratio(result.perSecond / best.perSecond),
                    BenchTable.number(result.processorTimePerMessage, 1),
                    ratio(result.processorTimePerMessage / best.processorTimePerMessage), BenchTable.number(result.median),
                    BenchTable.number(result.p99), ratio(result.p99 / best.p99),
                ]))
            }
        }
        show("\n" + BenchTable.row(["server", "idle", "B/connection"]))
        for candidate in candidates(options) {
            let server = try await candidate.start()
            defer { server.stop() }
            let bytes = try await IdleLoad(options: options, loop: loop).run(on: server, isRelay: candidate.isRelay)
            show(BenchTable.row([candidate.name, "\(options.idle)", BenchTable.number(bytes)]))
        }
        show("\n" + BenchTable.row(["server", "messages", "confirmed/s", "drained/s", "MiB then"]))
        for candidate in candidates(options) where candidate.confirms {
            let server = try await candidate.start()
            defer { server.stop() }
            let result = try await StoreLoad(options: options, loop: loop).run(on: server)
            show(BenchTable.row([
                candidate.name, "\(options.stored)", BenchTable.number(result.confirmedPerSecond),
                BenchTable.number(result.drainedPerSecond), BenchTable.number(Double(result.residentBytes) / 1_048_576),
            ]))
        }
        loop.shutdown()
    }

    /// Prints a line that is seen at once, also through a pipe.
    private static func show(_ line: String) {
        print(line)
        fflush(nil)
    }

    private static func ratio(_ value: Double) -> String { BenchTable.number(value, 2) }
}
