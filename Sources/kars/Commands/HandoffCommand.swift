import CommandTree
import MeshNode

extension Command {
    /// `kars handoff`
    static let handoff = Command(
        "handoff", summary: "Move a running agent to another place",
        discussion: """
            The agent keeps its memory, and its clients keep calling: requests are held for the moment \
            in which it is frozen, and answered from the new place. A move that fails before the \
            registry has recorded the new home leaves the agent where it was.

              copying ──▶ freezing ──▶ committing ──▶ starting ──▶ complete

            Ctrl-C stops watching, not the move.
            """,
        arguments: [.sandbox],
        options: [
            .value(
                "to", "target", help: "Where to move: cloud, local, or the name of a pairing or its peer",
                conflicts: ["status", "abort"]),
            .flag("status", help: "Show how far the newest move is"),
            .flag(
                "abort", help: "Abort a move whose new home is not recorded yet",
                conflicts: ["status"]),
            .flag("no-wait", help: "Start the move and return", conflicts: ["status", "abort"]),
            .flag(
                "dry-run", help: "Say what would move, and whether the other peer would take it; change nothing",
                conflicts: ["status", "abort", "no-wait", "events"]),
            .flag(
                "events", help: "Print each change of the move as one line of JSON",
                conflicts: ["status", "abort", "no-wait"]),
        ] + NodeConnection.options,
        examples: [
            Example("kars handoff researcher --to cloud", "Move from this machine to the paired cloud"),
            Example("kars handoff researcher --to cloud --dry-run", "See what would move"),
            Example("kars handoff researcher --to local", "Bring it back"),
            Example("kars handoff researcher --to cloud --events", "Follow it from a script"),
            Example("kars handoff researcher --status", "See how far it is"),
            Example("kars handoff researcher --abort", "Leave it where it was"),
        ],
        environment: [KarsHome.variable], group: "Agent mobility"
    ) { invocation in
        let name = invocation.required("name")
        if let target = invocation.value("to"), invocation.flag("dry-run") {
            let plan = try await NodeConnection.call(PlanHandoff(sandboxName: name, target: target), invocation)
            try OutputFormat.print(plan, invocation) { HandoffText.plan(plan) }
        } else if let target = invocation.value("to") {
            try await HandoffWatch(sandbox: name, target: target, printsEvents: invocation.flag("events"))
                .run(invocation)
        } else if invocation.flag("status") {
            let progress = try await NodeConnection.call(HandoffStatus(sandboxName: name), invocation)
            try OutputFormat.print(progress, invocation) { HandoffText.facts(progress) }
        } else if invocation.flag("abort") {
            let progress = try await NodeConnection.call(AbortHandoff(sandboxName: name), invocation)
            try OutputFormat.print(progress, invocation) {
                "the move of \(progress.sandbox) to \(progress.peer) is \(progress.phase.rawValue)\n"
            }
        } else {
            throw UsageError.refused("give one of --to <target>, --status and --abort")
        }
    }
}
