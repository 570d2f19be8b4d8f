import CommandTree
import MeshNode

extension Command {
    /// `kars pair`
    static let pair = Command(
        "pair", summary: "Pair this peer with others by one-time tokens",
        subcommands: [.pairGenerate, .pairAccept, .pairList, .pairInspect, .pairRevoke],
        examples: [
            Example("kars pair generate > token", "Make a token at the peer that will take agents"),
            Example("kars pair accept --token-file token", "Redeem it at the peer that gives them"),
        ],
        group: "Agent mobility")

    private static let pairAccept = Command(
        "accept", summary: "Redeem a token that another peer made",
        discussion: "Other users of this machine can see the words of a command line; '-' and --token-file "
            + "keep the token from them.",
        arguments: [
            Argument("token", help: "The token, or - to read it from standard input", isOptional: true)
        ],
        options: [
            .value("token-file", "file", kind: .file, help: "Read the token from a file"),
            .value("name", "name", help: "What to call the pairing here", defaultNote: "the peer's name"),
        ] + NodeConnection.options,
        examples: [
            Example("kars pair accept --token-file token --name cloud", "Pair, and call the peer cloud"),
            Example("kars pair accept -", "Paste the token, then Ctrl-D"),
        ],
        environment: [KarsHome.variable]
    ) { invocation in
        let pairing = try await NodeConnection.call(
            AcceptPairing(token: try PairingText.token(invocation), pairingName: invocation.value("name")),
            invocation)
        try OutputFormat.print(pairing, invocation) { PairingText.facts(pairing) }
    }

    private static let pairList = Command(
        "list", aliases: ["ls"], summary: "List all pairings", options: NodeConnection.clusterOptions,
        environment: [KarsHome.variable]
    ) { invocation in
        let pairings = try await NodeConnection.call(ListPairings(), invocation).sorted { $0.name < $1.name }
        try OutputFormat.print(pairings, invocation) {
            PairingText.table(pairings, style: Console.style(invocation.environment))
        }
    }

    private static let pairInspect = Command(
        "inspect", summary: "Show one pairing",
        arguments: [Argument("name", help: "Name of the pairing")], options: NodeConnection.clusterOptions,
        environment: [KarsHome.variable]
    ) { invocation in
        let pairing = try await NodeConnection.call(
            InspectPairing(pairingName: invocation.required("name")), invocation)
        try OutputFormat.print(pairing, invocation) { PairingText.facts(pairing) }
    }

    private static let pairRevoke = Command(
        "revoke", summary: "End a pairing at once",
        discussion: "Its peer can ask for nothing new. Offloads that run for it finish, and it may collect what they made, "
            + "unless they are stopped too.",
        arguments: [Argument("name", help: "Name of the pairing")],
        options: [.flag("stop-offloads", help: "End the offloads that run for its peer, too")] + NodeConnection.clusterOptions,
        examples: [Example("kars pair revoke laptop --stop-offloads", "End the pairing and all that runs for it")],
        environment: [KarsHome.variable]
    ) { invocation in
        let stops = invocation.flag("stop-offloads")
        let pairing = try await NodeConnection.call(
            RevokePairing(pairingName: invocation.required("name"), stopOffloads: stops ? true : nil), invocation)
        try OutputFormat.print(pairing, invocation) {
            "revoked \(pairing.name)" + (stops ? "; nothing runs for its peer any more\n" : "\n")
        }
    }
}
