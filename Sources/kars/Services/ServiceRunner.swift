import CommandTree
import Observability
import Transport

/// Runs a service in the foreground: starts it, says where it listens, waits for a signal, drains.
enum ServiceRunner {
    /// What a service is given by its process.
    struct Surroundings: Sendable {
        let logger: Logger
        let metrics: Metrics
        let health: Health
    }

    /// A service that runs.
    struct Running: Sendable {
        /// What follows `listening`: a URL.
        let address: String
        /// Finishes what is under way and closes everything.
        let stop: @Sendable () async -> Void
    }

    /// Returns after a first SIGTERM or SIGINT and an orderly stop; a second signal ends the process.
    ///
    /// The first line of standard output is `listening <url>`, with the port the kernel picked.
    static func run(
        _ role: String, _ invocation: Invocation, start: (Surroundings) async throws -> Running
    ) async throws {
        let signals = StopSignals()
        let metrics = Metrics()
        let running = try await start(
            Surroundings(
                logger: ServiceOptions.logger(role, invocation), metrics: metrics,
                health: Health(metrics: metrics)))
        do {
            try Console.line("listening \(running.address)")
        } catch {
            await running.stop()
            throw error
        }
        await signals.wait()
        await running.stop()
    }

    /// The URL of a listener: `ws` becomes `wss` and `http` becomes `https` with TLS.
    static func address(_ scheme: String, _ endpoint: Endpoint, isSecure: Bool) -> String {
        guard endpoint.port != nil else { return "\(endpoint)" }
        return "\(scheme)\(isSecure ? "s" : "")://\(endpoint)"
    }
}
