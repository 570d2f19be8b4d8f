import MeshNode
import Observability
import Registry
import Relay
import TestSupport
import Transport

/// A relay and a registry of ours in this process.
public final class TestMesh: Sendable {
    public let folder = TemporaryFolder()
    private let relay: RelayService
    private let registry: RegistryService
    public let relayURL: ServiceURL
    public let registryURL: ServiceURL

    public init() async throws {
        relay = try RelayService(
            configuration: RelayConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("relay")),
            logger: .silent, metrics: Metrics(), health: Health(metrics: Metrics()))
        registry = try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("registry")),
            logger: .silent, metrics: Metrics(), health: Health(metrics: Metrics()))
        relayURL = try ServiceURL(parsing: "ws://\(try await relay.start())/ws")
        registryURL = try ServiceURL(parsing: "http://\(try await registry.start())")
    }

    public func stop() async {
        await relay.stop()
        await registry.stop()
    }

    /// An agent of ours, registered here and connected.
    public func agent(
        _ name: String, limits: MeshLimits = MeshLimits(), policy: @escaping KnockPolicy = { _ in .accept() }
    ) async throws -> TestAgent {
        try await TestAgent(
            folder: folder.file(name), relay: relayURL, registry: registryURL, limits: limits, policy: policy)
    }
}
