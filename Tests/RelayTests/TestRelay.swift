import Foundation
import MeshIdentity
import Observability
import TestSupport
import Transport

@testable import Relay

/// A relay in this process and a loop for its clients.
struct TestRelay: Sendable {
    let service: RelayService
    let endpoint: Endpoint
    let metrics: Metrics
    let health: Health
    let clientLoop: EventLoop

    func url(_ path: String, scheme: String = "ws") throws -> ServiceURL {
        try ServiceURL(parsing: "\(scheme)://\(endpoint)\(path)")
    }

    func get(_ path: String, method: String = "GET") async throws -> HTTPClientResponse {
        try await HTTPClient(loop: clientLoop).send(
            HTTPClientRequest(method: method, url: url(path, scheme: "http")))
    }

    /// The value of one series in the exposition text.
    func metric(_ series: String) -> Int? {
        metrics.prometheusText().split(separator: "\n").first { $0.hasPrefix(series + " ") }
            .flatMap { Int($0.dropFirst(series.count + 1)) }
    }

    /// Runs a relay on a folder for the time of the body.
    @discardableResult
    static func run<Result: Sendable>(
        in folder: TemporaryFolder = TemporaryFolder(), threads: Int = 2,
        machine: TestMachine = TestMachine(), logger: Logger = .silent,
        configure: (inout RelayConfiguration) -> Void = { _ in },
        _ body: (TestRelay) async throws -> Result
    ) async throws -> Result {
        var configuration = RelayConfiguration(
            endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("relay"))
        configuration.threads = threads
        configure(&configuration)
        let metrics = Metrics()
        let health = Health(metrics: metrics)
        let service = try RelayService(
            configuration: configuration, logger: logger, metrics: metrics, health: health,
            now: { machine.now }, clocks: machine.clocks)
        let loop = try EventLoop(name: "clients")
        do {
            let relay = TestRelay(
                service: service, endpoint: try await service.start(), metrics: metrics, health: health,
                clientLoop: loop)
            let result = try await body(relay)
            await service.stop()
            loop.shutdown()
            withExtendedLifetime(folder) {}
            return result
        } catch {
            await service.stop()
            loop.shutdown()
            throw error
        }
    }
}
