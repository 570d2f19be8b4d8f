import CommandTree
import MeshNode

/// How sandboxes look in tables.
enum SandboxText {
    static func table(_ sandboxes: [SandboxSummary], style: TerminalStyle) -> String {
        var table = Table(header: ["NAME", "RUNTIME", "STATUS", "HOME", "EPOCH"])
        for sandbox in sandboxes {
            table.add([sandbox.name, sandbox.runtime, sandbox.status, sandbox.home, String(sandbox.epoch)])
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
        rows.append(("Limits", sandbox.limits.isEmpty ? "none" : sandbox.limits.joined(separator: ", ")))
        return kars.facts(rows)
    }
}
