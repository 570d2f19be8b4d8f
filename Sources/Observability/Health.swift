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

    public init(metrics: Metrics) { self.metrics = metrics }

    public var isReady: Bool { obstacle.withLock { $0 == nil } }

    public func becomeReady() { obstacle.withLock { $0 = nil } }

    /// - Parameter reason: one short phrase for the operator, such as "draining".
    public func becomeUnready(_ reason: String) { obstacle.withLock { $0 = reason } }

    /// The answer for a path, or nil when it is none of the three.
    public func answer(path: String) -> Answer? {
        switch path {
        case "/healthz":
            return Answer(status: 200, body: "ok\n", contentType: "text/plain; charset=utf-8")
        case "/readyz":
            let reason = obstacle.withLock { $0 }
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
