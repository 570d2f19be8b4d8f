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
        /// Where else it listens, if anywhere.
        var secureAddress: String?
        /// Reads what its files hold now, such as tokens and certificates; nil for a service that reads none again.
        var reload: (@Sendable () async throws -> Void)?
        /// Finishes what is under way and closes everything.
        let stop: @Sendable () async -> Void

        init(
            address: String, secureAddress: String? = nil, reload: (@Sendable () async throws -> Void)? = nil,
            stop: @escaping @Sendable () async -> Void
        ) {
            self.address = address
            self.secureAddress = secureAddress
            self.reload = reload
            self.stop = stop
        }
    }

    /// Returns after a first SIGTERM or SIGINT and an orderly stop; a second signal ends the process.
    ///
    /// SIGHUP reloads: what cannot be used is logged, and the service goes on with what it had.
    ///
    /// The first line of standard output is `listening <url>`, with the port the kernel picked, and another one follows
    /// for a second place.
    static func run(
        _ role: String, _ invocation: Invocation, start: (Surroundings) async throws -> Running
    ) async throws {
        // Before the first event loop, whose tables are as long as the limit.
        DescriptorLimit.raise()
        // A start can take long, as that of a controller that waits for another one to leave.
        let signals = StopSignals(isStarting: true), hangups = ReloadSignals()
        let metrics = Metrics()
        let logger = ServiceOptions.logger(role, invocation)
        let running = try await start(
            Surroundings(logger: logger, metrics: metrics, health: Health(metrics: metrics)))
        signals.hasStarted()
        do {
            try Console.line("listening \(running.address)")
            if let address = running.secureAddress { try Console.line("listening \(address)") }
        } catch {
            await running.stop()
            throw error
        }
        let supervisor = SupervisorNotice(environment: invocation.environment)
        if !supervisor.send(.ready) { logger.warn("the supervisor does not hear that this is ready: NOTIFY_SOCKET") }
        let reloading = Task {
            for await _ in hangups.all {
                guard let reload = running.reload else {
                    logger.info("nothing to reload")
                    continue
                }
                do {
                    try await reload()
                    logger.info("reloaded")
                } catch {
                    logger.error("not all was reloaded; what was in use stays", ["reason": "\(error)"])
                }
            }
        }
        await signals.wait()
        supervisor.send(.stopping)
        reloading.cancel()
        await reloading.value
        await running.stop()
    }

    /// The URL of a listener: `ws` becomes `wss` and `http` becomes `https` with TLS.
    static func address(_ scheme: String, _ endpoint: Endpoint, isSecure: Bool) -> String {
        guard endpoint.port != nil else { return "\(endpoint)" }
        return "\(scheme)\(isSecure ? "s" : "")://\(endpoint)"
    }
}
