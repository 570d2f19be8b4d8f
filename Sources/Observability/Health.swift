import Synchronization

/// The answers every service gives at `/healthz`, `/readyz` and `/metrics`.
public final class Health: Sendable {
    public struct Answer: Sendable {
        public let status: Int
        public let body: String
        public let contentType: String
    }

    private let metrics: Metrics
    /// Why the service is not ready; nil when it is.
    private let obstacle = Mutex<String?>("starting")
    /// What only an operator can mend.
    private let fault = Mutex<String?>(nil)

    public init(metrics: Metrics) { self.metrics = metrics }

    public var isReady: Bool { reason == nil }

    private var reason: String? { fault.withLock { $0 } ?? obstacle.withLock { $0 } }

    public func becomeReady() { obstacle.withLock { $0 = nil } }

    /// - Parameter reason: one short phrase for the operator, such as "draining".
    public func becomeUnready(_ reason: String) { obstacle.withLock { $0 = reason } }

    /// Not ready from now on, whatever else becomes of the service.
    public func fail(_ reason: String) { fault.withLock { $0 = $0 ?? reason } }

    /// The answer for a path, or nil when it is none of the three.
    public func answer(path: String) -> Answer? {
        switch path {
        case "/healthz":
            return Answer(status: 200, body: "ok\n", contentType: "text/plain; charset=utf-8")
        case "/readyz":
            let reason = self.reason
            return Answer(
                status: reason == nil ? 200 : 503, body: (reason ?? "ready") + "\n",
                contentType: "text/plain; charset=utf-8")
        case "/metrics":
            return Answer(
                status: 200, body: metrics.prometheusText(), contentType: "text/plain; version=0.0.4")
        default: return nil
        }
    }
}

extension Health {
    /// Says aloud what only an operator can mend, and is not ready from now on.
    public func report(_ fault: some Error, _ logger: Logger) {
        logger.error("the state of this service is damaged; restore it from a backup", ["error": "\(fault)"])
        fail("\(fault)")
    }
}
