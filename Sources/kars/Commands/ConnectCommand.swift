import CommandTree
import Glibc
import MeshNode

extension Command {
    /// `kars connect`
    static let connect = Command(
        "connect", summary: "Talk to an agent",
        discussion: """
            In the terminal, line by line; with --web in a browser, with --shell to a shell beside it in its sandbox. \
            The first two go through the gateway of this machine's \
            node, so an agent that moved away is reached in the same way, and one that moves meanwhile keeps answering. A \
            shell is where the agent lives; at another peer the pairing with it must grant handoff, and the shell may \
            also read a script from standard input. It ends when the agent moves.

            With --context, or with --cloud for an agent that this machine's node does not know, the way goes through the \
            Kubernetes API to the agent's pod; on a terminal that is the web page.

            The address that --web prints holds the agent's gateway token after a #, which a browser sends to nobody. \
            Treat the address like the token.
            """,
        arguments: [.sandbox],
        options: [
            .flag(
                "shell", help: "Open a shell in the agent's sandbox, wherever it lives", conflicts: ["web"]),
            .flag("web", help: "Print the address of the web page, and serve it at --port"),
            .flag("local", help: "Only when the agent lives here"),
            .flag("cloud", help: "Only when the agent lives at another peer or in a cluster", conflicts: ["local"]),
            .value(
                "context", "name", help: "Look for the agent in this context's cluster, not at the node of this machine",
                conflicts: ["local"]),
            .value(
                "port", "port", kind: .integer(1...65_535), help: "Port of the web page on this machine",
                defaultNote: "the gateway's"),
            .value(
                "ca", "file", kind: .file, help: "PEM file of the authorities to trust as gateway",
                defaultNote: "the system's"),
            NodeConnection.socket,
        ],
        examples: [
            Example("kars connect researcher", "Talk to it in the terminal"),
            Example("kars connect researcher --web", "Talk to it in a browser"),
            Example("kars connect researcher --shell", "Look around in its sandbox"),
            Example("echo 'ls -l' | kars connect researcher --cloud --shell", "Run a script beside it at another peer"),
            Example("kars connect researcher --context prod", "Talk to it in a cluster"),
            Example("echo 'what is new?' | kars connect researcher", "Ask one thing from a script"),
        ],
        environment: [KarsHome.variable, ClusterDoor.kubeconfig], group: "Operations"
    ) { invocation in
        guard invocation.flag("web") || !invocation.isGiven("port") else {
            throw UsageError.refused("--port is for --web")
        }
        let name = invocation.required("name")
        if let context = invocation.value("context") {
            return try await ClusterAgent(name: name, context: context).connect(invocation)
        }
        let door: AgentDoorway
        do {
            if invocation.flag("shell") { return try await openShell(invocation) }
            door = try await AgentDoorway.find(invocation)
        } catch let failure as OperationFailure
        where invocation.flag("cloud") && [.notFound, .unavailable].contains(failure.code) && ClusterAgent.isPossible(invocation) {
            return try await ClusterAgent(name: name, context: nil).connect(invocation)
        }
        if invocation.flag("web") {
            try await WebForward(door: door).run(port: try invocation.integer("port") ?? door.gateway?.port ?? 18789)
        } else {
            try await TerminalChat(door: door).run()
        }
    }

    private static func openShell(_ invocation: Invocation) async throws {
        let name = invocation.required("name")
        let isAway = try await AgentDoorway.home(invocation) != nil
        let status: Int32
        if isAway {
            status = try await NodeConnection.open(invocation) { node in
                try await StreamedShell(agent: name, node: node).run(environment: invocation.environment)
            }
        } else {
            guard Console.isInteractive, isatty(STDOUT_FILENO) == 1 else {
                throw UsageError.refused("--shell needs a terminal")
            }
            let answer = try await NodeConnection.call(SandboxShell(sandboxName: name), invocation)
            status = try await TerminalShell(agent: name, socket: answer.socket).run(environment: invocation.environment)
        }
        if status != 0 { throw CommandEnd(status: status) }
    }
}
