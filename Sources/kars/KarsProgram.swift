import CommandTree

/// The command tree of kars: parsing, help, completions, manual pages and the reference page read it.
enum KarsProgram {
    static let program: CommandLineProgram = CommandLineProgram(
        name: "kars", version: "0.1.0",
        summary: "Run AI agents in hardened sandboxes and move them while their clients keep calling",
        discussion: """
            Agents live at peers: this machine's node, a cloud, a cluster. Peers find each other in a \
            registry, talk sealed through a relay, trust each other by pairing, and hand running agents \
            over.
            """,
        commands: [
            .dev, .add, .destroy,
            .list, .status, .logs, .connect, .audit,
            .credentials, .config,
            .handoff, .offload, .pair, .mesh,
            .toolPolicy, .inferencePolicy, .mcp, .memory, .a2aAgent,
            .completion, .manual, .reference,
            .relay, .registry, .node, .agent,
        ],
        examples: [
            Example("kars dev --name researcher", "Run an agent on this machine"),
            Example("kars handoff researcher --to cloud", "Move it while it serves"),
            Example("kars offload 'summarise the papers' --to cloud --file papers", "Have another peer work on a task"),
        ],
        environment: [KarsHome.variable],
        later: [
            "up", "push", "convert", "migrate",
            "operator", "inspect", "attest",
            "model", "policy", "egress",
            "trace", "eval",
            "a2a",
            "router",
        ])
}
