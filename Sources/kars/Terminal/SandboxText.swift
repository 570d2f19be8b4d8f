import CommandTree
import MeshNode
import Sandboxes

/// How sandboxes look in tables.
enum SandboxText {
    static func table(_ sandboxes: [SandboxSummary], style: TerminalStyle) -> String {
        var table = Table(header: ["NAME", "RUNTIME", "STATUS", "MODEL", "HOME", "EPOCH"])
        for sandbox in sandboxes {
            table.add([
                sandbox.name, sandbox.runtime, sandbox.status, sandbox.settings?.model ?? "-", sandbox.home,
                String(sandbox.epoch),
            ])
        }
        return table.text(style)
    }

    static func facts(_ sandbox: SandboxSummary) -> String {
        var rows = [
            ("Name", sandbox.name), ("Status", sandbox.status), ("Runtime", sandbox.runtime),
            ("Driver", sandbox.driver), ("Identity", sandbox.did),
            ("Home", "\(sandbox.home) (epoch \(sandbox.epoch))"), ("Created", shown(sandbox.createdAt)),
        ]
        if let url = sandbox.gatewayURL { rows.append(("URL", url)) }
        if let file = sandbox.tokenFile { rows.append(("Token", "in \(file)")) }
        if let usage = sandbox.usage { rows.append(("Usage", text(of: usage))) }
        rows.append(("Limits", sandbox.limits.isEmpty ? "none" : sandbox.limits.joined(separator: ", ")))
        if let settings = sandbox.settings {
            rows.append(("Model", settings.model ?? "none"))
            if let provider = settings.provider { rows.append(("Provider", provider)) }
            if let policy = settings.policy { rows.append(("Policy", policy)) }
            if !settings.channels.isEmpty { rows.append(("Channels", settings.channels.joined(separator: ", "))) }
            if !settings.skills.isEmpty { rows.append(("Skills", settings.skills.joined(separator: ", "))) }
        }
        if let names = sandbox.credentials, !names.isEmpty {
            rows.append(("Credentials", names.joined(separator: ", ")))
        }
        return kars.facts(rows) + conditions(sandbox.conditions ?? []) + transitions(sandbox.transitions ?? [])
    }

    private static func text(of usage: SandboxUsage) -> String {
        let memory = Double(usage.memoryBytes) / 1_000_000, tenths = Int(usage.processorSeconds * 10)
        return "\(usage.processes) \(usage.processes == 1 ? "process" : "processes"), \(Int(memory.rounded())) MB of memory, "
            + "\(tenths / 10).\(tenths % 10) s of processor time"
    }

    private static func transitions(_ transitions: [SandboxTransition]) -> String {
        guard !transitions.isEmpty else { return "" }
        var table = Table(header: ["SINCE", "BECAME", "WHY"])
        for transition in transitions { table.add([shown(transition.at), transition.state, transition.reason]) }
        return "\n" + table.text()
    }

    private static func conditions(_ conditions: [SandboxCondition]) -> String {
        guard !conditions.isEmpty else { return "" }
        var table = Table(header: ["CONDITION", "HOLDS", "WHY"])
        for condition in conditions { table.add([condition.type, condition.holds ? "yes" : "no", condition.reason]) }
        return "\n" + table.text()
    }
}
