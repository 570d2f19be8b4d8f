import CommandTree
import MeshNode

extension Command {
    /// `kars list`
    static let list = Command(
        "list", aliases: ["ls"], summary: "List all sandboxes",
        options: NodeConnection.options,
        examples: [
            Example("kars list", "See all sandboxes of this machine's node"),
            Example("kars list -o json", "Read them with a program"),
        ],
        environment: [KarsHome.variable], group: "Operations", laterOptions: ["aks-only", "docker-only"]
    ) { invocation in
        let sandboxes = try await NodeConnection.call(ListSandboxes(), invocation)
            .sorted { $0.name < $1.name }
        try OutputFormat.print(sandboxes, invocation) {
            SandboxText.table(sandboxes, style: Console.style(invocation.environment))
        }
    }
}
