import CommandTree
import MeshNode
import Sandboxes

/// Makes a sandbox and starts its agent, or attaches to the one that is there.
struct AgentStart: Sendable {
    let request: CreateSandbox

    func run(_ invocation: Invocation) async throws {
        try await NodeConnection.open(invocation) { node in
            try await fetchImage(node)
            if Console.showsProgress { Console.complain("  starting the sandbox") }
            do {
                let sandbox = try await node.call(request)
                try Self.report(sandbox, "is \(sandbox.status)", invocation)
            } catch let failure as OperationFailure where failure.code == .conflict {
                // There is one of the name, or its name is busy: only the first can be attached to.
                guard let sandbox = try? await node.call(SandboxStatus(sandboxName: request.sandboxName)) else {
                    throw failure
                }
                try await attach(to: sandbox, node, invocation)
            }
        }
    }

    /// Has the image of a sandbox fetched that is not there yet, and shows how far that is.
    func fetchImage(_ node: NodeClient) async throws {
        guard let image = request.image,
            (try? await node.call(SandboxStatus(sandboxName: request.sandboxName))) == nil
        else { return }
        try await ImageFetch(image: image).run(node)
    }

    private func attach(to sandbox: SandboxSummary, _ node: NodeClient, _ invocation: Invocation) async throws {
        if let difference = difference(from: sandbox, invocation) {
            throw OperationFailure(
                .conflict, "a sandbox called \"\(sandbox.name)\" exists, and \(difference)",
                hint: "give another --name, or remove it first with 'kars destroy \(sandbox.name)'")
        }
        switch sandbox.status {
        case "stopped":
            let started = try await node.call(StartSandbox(sandboxName: sandbox.name))
            try Self.report(started, "was stopped and is \(started.status) again", invocation)
        case "offloaded": try Self.report(sandbox, "lives at \(PrintableText.escaped(sandbox.home))", invocation)
        default: try Self.report(sandbox, "is \(sandbox.status) already", invocation)
        }
    }

    /// What was asked for and is not so; only what was given counts, defaults do not.
    private func difference(from sandbox: SandboxSummary, _ invocation: Invocation) -> String? {
        let wanted = request.settings, found = sandbox.settings
        if invocation.flag("build") || invocation.flag("build-base") { return "it goes on with the image it has" }
        if request.workspace != nil { return "a workspace is only copied into a new one" }
        if invocation.isGiven("model"), wanted?.model != found?.model {
            return "its model is \(found?.model ?? "not set")"
        }
        if invocation.isGiven("policy"), wanted?.policy != found?.policy {
            return "its policy is \(found?.policy ?? "not set")"
        }
        if invocation.isGiven("channels"), wanted?.channels != found?.channels {
            return "its channels are \(found?.channels.joined(separator: ",") ?? "not set")"
        }
        if invocation.isGiven("skills"), wanted?.skills != found?.skills {
            return "its skills are \(found?.skills.joined(separator: ",") ?? "not set")"
        }
        let isNew = { (name: String) in !(sandbox.credentials ?? []).contains(name) }
        if let names = request.credentials?.keys.filter(isNew).sorted(), let first = names.first,
            let known = KnownSecret.forAgents.first(where: { $0.variable == first }), invocation.isGiven(known.key)
        {
            return "it has no \(known.key); 'kars credentials update \(sandbox.name)' gives it one"
        }
        return nil
    }

    static func report(_ sandbox: SandboxSummary, _ state: String, _ invocation: Invocation) throws {
        try OutputFormat.print(sandbox, invocation) {
            var rows: [(String, String)] = []
            if let url = sandbox.gatewayURL { rows.append(("URL", url)) }
            if let file = sandbox.tokenFile { rows.append(("Token", "in \(file)")) }
            // Which of the two it is was decided by what is on this machine.
            rows.append(("Driver", sandbox.driver))
            if let model = sandbox.settings?.model { rows.append(("Model", model)) }
            return "\(sandbox.name) \(state)\n" + facts(rows)
        }
    }
}
