import CommandTree

/// A small program with one of everything the tree can describe.
let sample = CommandLineProgram(
    name: "kars", version: "1.2.3", summary: "Run agents that move",
    discussion: "Agents live anywhere and move between places while their clients keep calling.",
    commands: [add, handoff, list, relay, mesh, dev, secret],
    examples: [Example("kars add researcher", "Add an agent")],
    environment: [EnvironmentVariable("KARS_HOME", help: "Folder of keys and state")],
    later: ["operator", "up"])

private let idle: Command.Action = { _ in }

private let add = Command(
    "add", summary: "Add an agent", arguments: [Argument("name", help: "Name of the agent")],
    options: [
        .value(
            "isolation", "level", help: "Isolation level", defaultValue: "enhanced",
            allowed: ["standard", "enhanced", "confidential"]),
        .list("skills", "skills", help: "Skills to activate", allowed: ["browser", "github", "weather"]),
        .list("label", short: "l", "key=value", commaSeparated: false, help: "Label of the agent"),
        .flag("governance", negatable: true, isOn: true, help: "Apply tool policies and trust"),
        .value("expires", "time", kind: .duration, help: "When the agent ends", environment: "KARS_EXPIRES"),
        .value("workspace", "folder", kind: .directory, help: "Folder the agent works in"),
    ], group: "Lifecycle", laterOptions: ["--telegram-token", "-g", "mesh-peer"], run: idle)

private let handoff = Command(
    "handoff", summary: "Move an agent to another place",
    discussion: """
        The agent keeps its memory and its open requests: they are held while it moves, and answered \
        from the new place.

          laptop ──▶ cloud

        A move that fails leaves the agent where it was.
        """,
    arguments: [Argument("name", help: "Name of the agent")],
    options: [
        .value(
            "to", "target", help: "Where to move", allowed: ["cloud", "local"],
            conflicts: ["status", "abort"]),
        .flag("status", help: "Show how far a move is"),
        .flag("abort", help: "Abort a move", conflicts: ["status"]),
        .flag("yes", short: "y", help: "Do not ask"),
        .flag("force", short: "f", help: "Move even when the agent is busy"),
    ],
    examples: [
        Example("kars handoff my-agent --to cloud", "Move from the laptop to the cluster"),
        Example("kars handoff my-agent --status", "See how far it is"),
    ], group: "Agent mobility", run: idle)

private let list = Command(
    "list", aliases: ["ls"], summary: "List all agents",
    options: [.flag("json", help: "Print JSON", environment: "KARS_JSON")], group: "Lifecycle", run: idle)

private let relay = Command(
    "relay", summary: "Carry messages between peers",
    options: [
        .value(
            "listen", "HOST:PORT", kind: .endpoint, help: "Where to listen",
            defaultValue: "127.0.0.1:8443", environment: "KARS_RELAY_LISTEN"),
        .value(
            "tail", short: "n", "lines", kind: .integer(1...1000), help: "Lines to keep", defaultValue: "100",
            environment: "KARS_RELAY_TAIL"),
        .value("cert", "file", kind: .file, help: "Certificate", isRequired: true),
        .value("registry", "url", kind: .url(schemes: ["http", "https"]), help: "Registry to ask"),
    ], group: "Agent mobility", run: idle)

private let mesh = Command(
    "mesh", summary: "Look after the mesh",
    subcommands: [
        Command("status", summary: "Show the mesh", run: idle),
        Command(
            "pair", summary: "Pair with peers",
            arguments: [Argument("peer", help: "Peers to pair with", isVariadic: true)],
            options: [.value("expires", "time", help: "When the token ends")], run: idle),
    ], group: "Agent mobility", later: ["promote"])

private let dev = Command(
    "dev", summary: "Run an agent on this machine",
    arguments: [Argument("image", help: "Image of the agent", isOptional: true, kind: .file)],
    options: [.value("name", "name", help: "Name of the agent", defaultNote: "a new one")],
    subcommands: [
        Command("down", summary: "Stop it", options: [.flag("keep", help: "Keep its files")], run: idle)
    ],
    run: idle)

private let secret = Command("secret", summary: "Stay unseen", isHidden: true, run: idle)
