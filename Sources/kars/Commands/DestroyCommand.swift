import CommandTree
import MeshNode

extension Command {
    /// `kars destroy`
    static let destroy = Command(
        "destroy", summary: "Stop and remove sandboxes with their workspaces",
        discussion: "Without a name all sandboxes of the node go. It asks first; --yes answers.",
        arguments: [Argument("name", help: "Name of the sandbox; all when left out", isOptional: true)],
        options: [
            Confirmation.option,
            .flag("local", help: "Remove only what an agent that moved away left here"),
            NodeConnection.socket,
        ],
        examples: [
            Example("kars destroy researcher", "Remove one sandbox after a question"),
            Example("kars destroy --yes", "Remove all sandboxes without a question"),
        ],
        environment: [KarsHome.variable], group: "Lifecycle",
        laterOptions: ["cloud", "all", "resource-group", "g", "region"]
    ) { invocation in
        try await NodeConnection.open(invocation) { node in
            if let name = invocation.argument("name") {
                let isCopy = invocation.flag("local")
                let shown = PrintableText.escaped(name)
                try Confirmation.require(
                    isCopy ? "Remove the dormant copy of \(shown)" : "Destroy the sandbox \(shown) and its workspace",
                    invocation)
                _ = try await node.call(DestroySandbox(sandboxName: name, dormantCopy: isCopy))
                return try Console.line("destroyed \(name)")
            }
            guard !invocation.flag("local") else { throw UsageError.refused("--local needs the name of a sandbox") }
            // Agents that live elsewhere are not this peer's to destroy.
            let names = try await node.call(ListSandboxes()).filter { $0.status != "offloaded" }.map(\.name)
                .sorted()
            guard !names.isEmpty else { return try Console.line("there are no sandboxes") }
            try Confirmation.require(
                "Destroy \(names.joined(separator: ", ")) and their workspaces", invocation)
            for name in names {
                _ = try await node.call(DestroySandbox(sandboxName: name))
                try Console.line("destroyed \(name)")
            }
        }
    }
}
