import CommandTree
import MeshNode

extension Command {
    /// `kars destroy`
    static let destroy = Command(
        "destroy", summary: "Stop and remove sandboxes with their workspaces",
        discussion: """
            Names what goes and asks first; --yes answers. Without a name all agents that live here go, and with \
            --cloud all that moved away. Of an agent that lives elsewhere, --local removes only what it left here, and \
            --cloud removes it where it lives, by the pairing with that peer, and here.
            """,
        arguments: [Argument("name", help: "Name of the sandbox; all when left out", isOptional: true)],
        options: [
            Confirmation.option,
            .flag("local", help: "Remove only what is on this machine"),
            .flag("cloud", help: "Remove agents that live at another peer, there and here", conflicts: ["local"]),
            NodeConnection.socket, ClusterDoor.option,
        ],
        examples: [
            Example("kars destroy researcher", "Remove one sandbox after a question"),
            Example("kars destroy researcher --cloud", "Remove it at the peer it moved to"),
            Example("kars destroy --yes", "Remove all sandboxes without a question"),
        ],
        environment: [KarsHome.variable], group: "Lifecycle",
        laterOptions: ["all", "resource-group", "g", "region"]
    ) { invocation in
        try Confirmation.requirePossible(invocation)
        try await NodeConnection.open(invocation) { node in
            let all: [SandboxSummary]
            if let name = invocation.argument("name") {
                all = [try await node.call(SandboxStatus(sandboxName: name))]
            } else {
                all = try await node.call(ListSandboxes()).sorted { $0.name < $1.name }
            }
            let removals = try all.compactMap { try Removal($0, invocation) }
            guard !removals.isEmpty else { return try Console.line("there are no sandboxes to destroy") }
            try Confirmation.require(
                "Destroy " + removals.map(\.text).joined(separator: "; "), invocation)
            for removal in removals {
                try await removal.run(node)
                try Console.line("destroyed \(removal.name)")
            }
        }
    }
}

/// One thing that `kars destroy` removes.
private struct Removal {
    private enum Kind { case agentHere, copyHere, agentElsewhere }

    let name: String
    private let kind: Kind
    /// What goes, for the question.
    let text: String

    /// - Returns: nil for what a command without a name leaves alone.
    /// - Throws: when the named sandbox is not where the options say.
    init?(_ sandbox: SandboxSummary, _ invocation: Invocation) throws {
        name = sandbox.name
        let shown = PrintableText.escaped(sandbox.name), home = PrintableText.escaped(sandbox.home)
        let isNamed = invocation.argument("name") != nil
        switch (sandbox.status == "offloaded", invocation.flag("local"), invocation.flag("cloud")) {
        case (false, _, false):
            kind = .agentHere
            text = "\(shown), which is \(sandbox.status) here, with its workspace, key and credentials"
        case (false, _, true):
            guard isNamed else { return nil }
            throw OperationFailure(.refused, "\(name) lives here", hint: "'kars destroy \(name)' removes it")
        case (true, true, _):
            guard isNamed else { return nil }
            kind = .copyHere
            text = "the dormant copy of \(shown) on this machine, while it lives on at \(home)"
        case (true, false, true):
            kind = .agentElsewhere
            text = "\(shown), which lives at \(home), with its workspace there and its dormant copy here"
        case (true, false, false):
            guard isNamed else { return nil }
            throw OperationFailure(
                .refused, "\(name) lives at \(home), and a dormant copy of it is here",
                hint: "'kars destroy \(name) --cloud' removes both, 'kars destroy \(name) --local' the copy alone")
        }
    }

    func run(_ node: NodeClient) async throws {
        switch kind {
        case .agentHere: _ = try await node.call(DestroySandbox(sandboxName: name))
        case .copyHere: _ = try await node.call(DestroySandbox(sandboxName: name, dormantCopy: true))
        case .agentElsewhere: _ = try await node.call(DestroyElsewhere(sandboxName: name))
        }
    }
}
