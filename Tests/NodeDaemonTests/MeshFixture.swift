import Foundation
import MeshIdentity
import MeshNode
import NodeDaemon
import Observability
import Registry
import Relay
import TestSupport
import Transport

/// Relay and registry in this process, and peers on them.
final class MeshFixture: Sendable {
    let folder = TemporaryFolder()
    let relay: RelayService
    let relayMetrics = Metrics()
    let registry: RegistryService
    let relayURL: ServiceURL
    let registryURL: ServiceURL

    init() async throws {
        relay = try RelayService(
            configuration: RelayConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("relay")),
            logger: .silent, metrics: relayMetrics, health: Health(metrics: Metrics()))
        registry = try RegistryService(
            configuration: RegistryConfiguration(
                endpoint: .tcp(host: "127.0.0.1", port: 0), dataFolder: folder.file("registry")),
            logger: .silent, metrics: Metrics(), health: Health(metrics: Metrics()))
        relayURL = try ServiceURL(parsing: "ws://\(try await relay.start())/ws")
        registryURL = try ServiceURL(parsing: "http://\(try await registry.start())")
    }

    deinit { SandboxSweep.end(below: folder.path) }

    func stop() async {
        await relay.stop()
        await registry.stop()
    }

    /// The `kars` built beside this test, or the one in the folder that `KARS_TEST_BIN` names.
    static let kars: String = {
        if let folder = ProcessInfo.processInfo.environment["KARS_TEST_BIN"] { return folder + "/kars" }
        let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundlePath
            ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: bundle).deletingLastPathComponent().appendingPathComponent("kars").path
    }()

    func peer(_ name: String, movesDirectly: Bool = true) async throws -> PeerFixture {
        try await PeerFixture(name, mesh: self, movesDirectly: movesDirectly)
    }

    /// Two peers, the first of which holds a pairing with the second.
    func pairedPeers(
        capabilities: [Capability] = [.offload, .handoff], movesDirectly: Bool = true
    ) async throws -> (local: PeerFixture, cloud: PeerFixture) {
        let local = try await peer("local", movesDirectly: movesDirectly), cloud = try await peer("cloud")
        let token = try await cloud.token(capabilities: capabilities)
        _ = try await local.client.call(AcceptPairing(token: token))
        return (local, cloud)
    }
}

/// One node in this process, spoken to as a command speaks to it.
final class PeerFixture: Sendable {
    let name: String
    let home: String
    let node: NodeService
    let client: NodeClient
    let gateway: Endpoint
    private let loop: EventLoop

    init(_ name: String, mesh: MeshFixture, movesDirectly: Bool = true) async throws {
        self.name = name
        home = mesh.folder.file(name)
        var configuration = NodeConfiguration(
            name: name, homeFolder: home, dataFolder: home + "/node", relay: mesh.relayURL,
            registry: mesh.registryURL, gateway: .tcp(host: "127.0.0.1", port: 0), karsExecutable: MeshFixture.kars)
        configuration.driver = .embedded
        configuration.movesDirectly = movesDirectly
        let health = Health(metrics: Metrics())
        node = try await NodeService(
            configuration: configuration,
            logger: ProcessInfo.processInfo.environment["KARS_TEST_LOG"] == nil
                ? .silent : Logger(service: name, format: .text), metrics: Metrics(), health: health)
        gateway = try await node.start()
        loop = try EventLoop(name: "test")
        client = NodeClient(socketPath: configuration.socketPath, loop: loop)
        try await waitUntil("\(name) is on the mesh") { health.isReady }
    }

    /// Ends the node and every sandbox it left running.
    func stop() async {
        for sandbox in (try? await client.call(ListSandboxes())) ?? [] where sandbox.status != "offloaded" {
            _ = try? await client.call(DestroySandbox(sandboxName: sandbox.name))
        }
        await node.stop()
        loop.shutdown()
    }

    func token(capabilities: [Capability] = [.offload, .handoff], lifetime: Int = 600) async throws -> String {
        try await client.call(
            GeneratePairing(
                pairingName: nil, lifetime: lifetime, tokenBudget: 1000, slots: 1, capabilities: capabilities,
                relayURL: nil, registryURL: nil)
        ).token
    }

    /// One turn of a conversation through this peer's gate.
    func chat(_ message: String, with agent: String) async throws -> ChatReply {
        let token = try String(contentsOfFile: home + "/node/tokens/" + agent, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        return try await ChatReply.ask(
            message, at: "http://\(gateway)/agents/\(agent)/v1/chat", token: token, loop: loop)
    }

    /// Moves an agent and waits for the end of the move, which is returned.
    func handoff(_ agent: String, to target: String) async throws -> HandoffProgress {
        _ = try await client.call(StartHandoff(sandboxName: agent, target: target))
        var progress: HandoffProgress?
        try await waitUntil("\(agent) has moved to \(target)", within: .seconds(60)) {
            progress = try await client.call(HandoffStatus(sandboxName: agent))
            return progress!.phase.isOver
        }
        return progress!
    }
}

struct ChatReply: Codable, Sendable {
    struct Remembered: Codable, Sendable {
        let previous: String?
        let turns: Int
    }
    let turn: Int
    let remembered: Remembered
    let digest: String

    /// One turn; throws unless the answer is 200.
    static func ask(_ message: String, at url: String, token: String, loop: EventLoop) async throws -> ChatReply {
        let response = try await HTTPClient(loop: loop, timeout: .seconds(60)).send(
            HTTPClientRequest(
                method: "POST", url: try ServiceURL(parsing: url),
                headers: ["authorization": "Bearer \(token)", "content-type": "application/json"],
                body: Array(try JSONEncoder().encode(["message": message]))))
        guard response.status == 200 else {
            throw OperationFailure(.failed, "\(response.status): \(String(decoding: response.body, as: UTF8.self))")
        }
        return try JSONDecoder().decode(ChatReply.self, from: Data(response.body))
    }
}
