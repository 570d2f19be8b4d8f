import CommandTree
import MeshNode

extension Command {
    /// `kars list`
    static let list = Command(
        "list", aliases: ["ls"], summary: "List all sandboxes",
        discussion: """
            Of an agent that lives at a paired peer the peer is asked how it is; one that does not answer in time \
            leaves it 'offloaded'.
            """,
        options: [
            .flag("aks-only", help: "Only agents that run in a cluster"),
            .flag("docker-only", help: "Only agents that run on this machine", conflicts: ["aks-only"]),
        ] + NodeConnection.clusterOptions,
        examples: [
            Example("kars list", "See all sandboxes of this machine's node"),
            Example("kars list -o json", "Read them with a program"),
        ],
        environment: [KarsHome.variable], group: "Operations"
    ) { invocation in
        let isLocal = invocation.flag("docker-only")
        let sandboxes = try await NodeConnection.open(invocation) { node in
            let here = try await node.call(ListSandboxes())
            let away = Set(here.filter { $0.status == "offloaded" }.map(\.name))
            if isLocal { return here.filter { !away.contains($0.name) } }
            // Peers are asked only when there is something to ask.
            let all = away.isEmpty ? here : try await node.call(ListSandboxes(askPeers: true))
            return invocation.flag("aks-only") ? all.filter { $0.driver == "kubernetes" || $0.driver == "pod" } : all
        }.sorted { $0.name < $1.name }
        try OutputFormat.print(sandboxes, invocation) {
            SandboxText.table(sandboxes, style: Console.style(invocation.environment))
        }
    }
}
