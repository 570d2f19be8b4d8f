import CommandTree
import ReferenceAgent
import Transport

extension Command {
    /// `kars agent`
    static let agent = Command(
        "agent", summary: "Run the reference agent",
        discussion: """
            A small agent that keeps a real conversation in its workspace and answers without a model. \
            It speaks runtime contract v1 (byo); sandboxes run it, and so do demos and tests.

            The first line of standard output is the address, as in 'listening http://127.0.0.1:18789'.
            """,
        options: [
            .value(
                "listen", "HOST:PORT", help: "Where to listen, also unix:/path",
                defaultValue: AgentConfiguration.defaultListen,
                environment: ServiceOptions.variable("agent", "listen")),
            .value(
                "workspace", "dir", kind: .directory, help: "Folder of the conversation",
                defaultValue: AgentConfiguration.defaultWorkspace,
                environment: ServiceOptions.variable("agent", "workspace")),
        ] + ServiceOptions.log("agent"),
        examples: [
            Example("kars agent --listen 127.0.0.1:0 --workspace ./memory", "Talk to it outside a sandbox")
        ],
        group: "Services"
    ) { invocation in
        let endpoint = try ServiceOptions.endpoint("listen", invocation)
        guard endpoint.isLoopback else {
            throw UsageError.refused(
                "the agent listens on loopback or a Unix socket only, not on \(endpoint); "
                    + "clients reach it through the gate of its node")
        }
        let configuration = AgentConfiguration(
            listen: endpoint,
            workspace: absolutePath(invocation.value("workspace") ?? AgentConfiguration.defaultWorkspace),
            standby: ProcessEnvironment.current()[Standby.variable].flatMap { Int32($0) })
        try await ServiceRunner.run("agent", invocation) { given in
            let service = try ReferenceAgentService(configuration: configuration, logger: given.logger)
            let place = try await service.start()
            return ServiceRunner.Running(
                address: ServiceRunner.address("http", place, isSecure: false)
            ) { await service.stop() }
        }
    }
}
