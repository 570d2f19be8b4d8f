import CommandTree
import MeshNode

extension Command {
    /// `kars status`
    static let status = Command(
        "status", summary: "Show one sandbox",
        arguments: [.sandbox], options: NodeConnection.clusterOptions,
        examples: [Example("kars status researcher", "See its state, home and address")],
        environment: [KarsHome.variable], group: "Operations"
    ) { invocation in
        let sandbox = try await NodeConnection.call(
            SandboxStatus(sandboxName: invocation.required("name")), invocation)
        try OutputFormat.print(sandbox, invocation) { SandboxText.facts(sandbox) }
    }
}

extension Argument {
    static let sandbox = Argument("name", help: "Name of the sandbox")
}
