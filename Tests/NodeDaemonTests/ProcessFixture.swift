import Foundation
import MeshIdentity
import MeshNode
import TestSupport
import Transport

/// Relay, registry and nodes as real processes, which can be killed for real.
final class ProcessMesh {
    let folder = TemporaryFolder()
    let loop: EventLoop
    private(set) var relay: ChildProcess
    private(set) var registry: ChildProcess
    private let relayPort: String
    private let registryPort: String

    init() async throws {
        loop = try EventLoop(name: "test")
        let home = ["KARS_HOME": folder.file("mesh")]
        relay = try ChildProcess(MeshFixture.kars, ["relay", "--listen", "127.0.0.1:0"], environment: home)
        registry = try ChildProcess(MeshFixture.kars, ["registry", "--listen", "127.0.0.1:0"], environment: home)
        relayPort = String(try await relay.line(startingWith: "listening ws://127.0.0.1:"))
        registryPort = String(try await registry.line(startingWith: "listening http://127.0.0.1:"))
    }

    deinit { SandboxSweep.end(below: folder.path) }

    var relayURL: String { "ws://127.0.0.1:\(relayPort)/ws" }
    var registryURL: String { "http://127.0.0.1:\(registryPort)" }

    /// `kill -9` and a start on the same port and folder.
    func restartRelay() async throws {
        relay.signal(SIGKILL)
        _ = await relay.wait()
        relay = try ChildProcess(
            MeshFixture.kars, ["relay", "--listen", "127.0.0.1:\(relayPort)"],
            environment: ["KARS_HOME": folder.file("mesh")])
        _ = try await relay.line(startingWith: "listening ")
    }

    func restartRegistry() async throws {
        registry.signal(SIGKILL)
        _ = await registry.wait()
        registry = try ChildProcess(
            MeshFixture.kars, ["registry", "--listen", "127.0.0.1:\(registryPort)"],
            environment: ["KARS_HOME": folder.file("mesh")])
        _ = try await registry.line(startingWith: "listening ")
    }

    func stop() async {
        for process in [relay, registry] {
            process.signal(SIGTERM)
            _ = await process.wait()
        }
        loop.shutdown()
    }
}

/// One `kars node` process.
final class NodeProcess {
    let name: String
    let home: String
    let client: NodeClient
    private let mesh: ProcessMesh
    private(set) var process: ChildProcess
    /// Where clients reach the agents; the same after a restart.
    private(set) var gateway = ""
    /// Words before `kars`, such as those that give the node a small disk.
    private let wrapper: [String]
    static let embedded = ["KARS_NODE_DRIVER": "embedded"]

    /// What runs its sandboxes, and further variables.
    let environment: [String: String]
    /// Further words of `kars node`.
    private let arguments: [String]

    init(
        _ name: String, _ mesh: ProcessMesh, wrapper: [String] = [], arguments: [String] = [],
        environment: [String: String] = NodeProcess.embedded
    ) async throws {
        self.name = name
        self.mesh = mesh
        self.wrapper = wrapper
        self.arguments = arguments
        self.environment = environment
        home = mesh.folder.file(name)
        client = NodeClient(socketPath: home + "/node.sock", loop: mesh.loop)
        process = try Self.launch(name, home, mesh, wrapper, arguments, environment, gateway: "127.0.0.1:0")
        try await ready()
    }

    private static func launch(
        _ name: String, _ home: String, _ mesh: ProcessMesh, _ wrapper: [String], _ arguments: [String],
        _ environment: [String: String], gateway: String
    ) throws -> ChildProcess {
        let words = wrapper + [
            MeshFixture.kars, "node", "--name", name, "--relay", mesh.relayURL, "--registry", mesh.registryURL,
            "--gateway", gateway, "--socket", home + "/node.sock",
        ] + arguments
        return try ChildProcess(words[0], Array(words.dropFirst()), environment: environment.merging(["KARS_HOME": home]) { $1 })
    }

    private func ready() async throws {
        gateway = try await process.line(startingWith: "listening http://")
        try await waitUntil("\(name) is on the mesh", within: .seconds(60)) {
            try await client.call(PeerStatus()).relayConnected
        }
    }

    func kill() async {
        process.signal(SIGKILL)
        _ = await process.wait()
    }

    func restart() async throws {
        try launchAgain()
        try await ready()
    }

    /// Starts the process again and does not wait for it.
    func launchAgain() throws {
        process = try Self.launch(name, home, mesh, wrapper, arguments, environment, gateway: gateway)
    }

    func stop() async {
        for sandbox in (try? await client.call(ListSandboxes())) ?? [] where sandbox.status != "offloaded" {
            _ = try? await client.call(DestroySandbox(sandboxName: sandbox.name))
        }
        process.signal(SIGTERM)
        _ = await process.wait()
    }

    func chat(_ message: String, with agent: String) async throws -> ChatReply {
        let token = try String(contentsOfFile: home + "/node/tokens/" + agent, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        return try await ChatReply.ask(
            message, at: "http://\(gateway)/agents/\(agent)/v1/chat", token: token, loop: mesh.loop)
    }

    func status(of agent: String) async throws -> HandoffProgress {
        try await client.call(HandoffStatus(sandboxName: agent))
    }
}
