import CommandTree
import MeshNode

extension Command {
    /// `kars destroy`
    static let destroy = Command(
        "destroy", summary: "Stop and remove sandboxes with their workspaces",
        discussion: "Without a name all sandboxes of the node go. It asks first; --yes answers.",
        arguments: [Argument("name", help: "Name of the sandbox; all when left out", isOptional: true)],
        options: [Confirmation.option, NodeConnection.socket],
        examples: [
            Example("kars destroy researcher", "Remove one sandbox after a question"),
            Example("kars destroy --yes", "Remove all sandboxes without a question"),
        ],
        environment: [KarsHome.variable], group: "Lifecycle",
        laterOptions: ["local", "cloud", "all", "resource-group", "g", "region"]
    ) { invocation in
        try await NodeConnection.open(invocation) { node in
            if let name = invocation.argument("name") {
                try Confirmation.require(
                    "Destroy the sandbox \(PrintableText.escaped(name)) and its workspace", invocation)
                _ = try await node.call(DestroySandbox(sandboxName: name))
                return try Console.line("destroyed \(name)")
            }
            let names = try await node.call(ListSandboxes()).map(\.name).sorted()
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
