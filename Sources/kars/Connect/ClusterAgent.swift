import CommandTree
import FoundationEssentials
import MeshIdentity
import MeshNode
import Resources
import Transport

/// An agent in a cluster, reached without a peer of this machine: its pod's node is asked over the Kubernetes API, and its
/// gateway comes through a tunnel.
struct ClusterAgent {
    private static let port = 18_789

    let name: String
    let context: String?

    private var namespace: String { "kars-\(name)" }

    /// Where the contexts of a kubeconfig are: whether there is one at all.
    static func isPossible(_ invocation: Invocation) -> Bool {
        (try? KubernetesConfiguration.load(environment: invocation.environment, context: invocation.value("context"))) != nil
    }

    /// The way through a port that leads to the agent's gateway.
    ///
    /// - Throws: when there is no such agent, or it does not run.
    func doorway(_ invocation: Invocation) async throws -> (door: @Sendable (_ port: Int) throws -> AgentDoorway, ServiceTunnel.Target) {
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        let node = try ClusterDoor.node(ofSandbox: name, context, invocation, loop)
        let sandbox = try await node.call(SandboxStatus(sandboxName: name))
        guard sandbox.status != "stopped" else { throw OperationFailure(.refused, "\(name) is stopped in its pod") }
        let token = try await node.call(SandboxToken(sandboxName: name)).token
        guard let text = sandbox.gatewayURL, let address = try? ServiceURL(parsing: text) else {
            throw OperationFailure(.failed, "the pod's node does not say how to reach \(name)")
        }
        let (name, path) = (name, address.target)
        return (
            { port in
                AgentDoorway(
                    agent: name, url: try ServiceURL(parsing: "http://127.0.0.1:\(port)\(path)"), token: token, tls: ClientTLS())
            },
            ServiceTunnel.Target(namespace: namespace, service: name, port: Self.port, context: context)
        )
    }

    /// Talks to it: in the terminal, or by a page at a port of this machine until Ctrl-C.
    func connect(_ invocation: Invocation) async throws {
        if invocation.flag("shell") {
            guard Console.isInteractive else { throw UsageError.refused("--shell needs a terminal") }
            var arguments = ["exec", "--stdin", "--tty", "--namespace", namespace, "--container", "agent"]
            if let context { arguments += ["--context", context] }
            try Kubectl.become(arguments + ["deployment/\(name)", "--"] + TerminalShell.command, invocation.environment)
        }
        let (makeDoor, target) = try await doorway(invocation)
        let isPage = invocation.flag("web") || Console.isInteractive
        let wanted = try invocation.integer("port") ?? Self.port
        let tunnel = try ServiceTunnel(
            to: target, port: isPage ? try WebForward.freePort(from: wanted) : 0, environment: invocation.environment)
        let signals = isPage ? StopSignals() : nil
        do {
            let port = try await tunnel.open()
            let door = try makeDoor(port)
            if let signals {
                try Console.line(door.webAddress("127.0.0.1", port))
                if Console.showsProgress { Console.complain("Ctrl-C ends it.") }
                await signals.wait()
            } else {
                try await TerminalChat(door: door).run()
            }
        } catch {
            await tunnel.close()
            throw error
        }
        await tunnel.close()
    }
}
