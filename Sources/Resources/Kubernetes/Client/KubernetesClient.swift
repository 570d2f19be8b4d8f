import FoundationEssentials
import Observability
import Transport

/// The API of one cluster; safe to share between tasks.
///
/// For a namespaced kind, a call about one object that names no namespace means the configuration's; a list or watch
/// that names none means all of them. What may be repeated is, after pauses, when the connection breaks or the server
/// has too much to do.
public final class KubernetesClient: Sendable {
    /// Bytes of one answer that is held whole.
    static let maximumAnswerBytes = 64 << 20
    /// The server's longest silence before an answer begins.
    static let patience = Duration.seconds(60)

    public let configuration: KubernetesConfiguration
    let loop: EventLoop
    let logger: Logger
    let retries: RetryPolicy
    let credentials: KubernetesCredentials
    /// Waits between attempts; tests hand in one that only remembers.
    let sleep: @Sendable (Duration) async throws -> Void

    public convenience init(
        configuration: KubernetesConfiguration, loop: EventLoop, logger: Logger = .silent, retries: RetryPolicy = .init()
    ) {
        self.init(
            configuration: configuration, loop: loop, logger: logger, retries: retries,
            sleep: { try await Task.sleep(for: $0) })
    }

    init(
        configuration: KubernetesConfiguration, loop: EventLoop, logger: Logger, retries: RetryPolicy,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
        self.retries = retries
        self.sleep = sleep
        credentials = KubernetesCredentials(configuration)
    }

    /// The address in messages.
    var server: String { configuration.display }

    /// The server's version, such as "v1.20.15"; also the quickest way to learn whether it answers.
    public func version() async throws(KubernetesError) -> String {
        let answer = try await json(KubernetesRequest("GET", "/version", action: "tell its version"))
        guard let version = answer["gitVersion"]?.stringValue else {
            throw .unusableAnswer(server: server, what: "tell its version")
        }
        return version
    }
}
