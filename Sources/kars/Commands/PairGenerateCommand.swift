import CommandTree
import MeshNode

extension Command {
    /// `kars pair generate`
    static let pairGenerate = Command(
        "generate", summary: "Make a one-time token for another peer",
        discussion: "The token is the only line of standard output. It is shown once: the peer keeps the "
            + "hash of its secret alone.",
        options: [
            .value("name", "name", help: "What to call the pairing here", defaultNote: "pairing-<6 hex>"),
            .value(
                "expires", "duration", kind: .duration, help: "When the token and its pairing end",
                defaultValue: "90d"),
            .value(
                "token-budget", "tokens", kind: .integer(0...1_000_000_000_000),
                help: "Model tokens that offloads may use", defaultValue: "500000"),
            .value(
                "slots", "n", kind: .integer(1...1_000), help: "Offloads that may run at once",
                defaultValue: "1"),
            .list(
                "capabilities", "list", help: "What the other peer may do", defaultValue: "offload,handoff",
                allowed: Capability.allCases.map(\.rawValue)),
            .value(
                "relay-url", "url", kind: .url(schemes: ["ws", "wss"]),
                help: "Relay to write into the token", defaultNote: "the node's own"),
            .value(
                "registry-url", "url", kind: .url(schemes: ["http", "https"]),
                help: "Registry to write into the token", defaultNote: "the node's own"),
            .flag("qr", help: "Draw the token on the terminal too, for a camera"),
        ] + NodeConnection.clusterOptions,
        examples: [
            Example("kars pair generate --expires 30d", "Make a token for 30 days"),
            Example(
                "kars pair generate --capabilities handoff --name laptop > token",
                "Allow moves alone, and keep the token in a file"),
        ],
        environment: [KarsHome.variable]
    ) { invocation in
        guard let expires = try invocation.duration("expires"),
            let budget = try invocation.integer("token-budget"), let slots = try invocation.integer("slots")
        else { preconditionFailure("options with defaults have values") }
        var capabilities: [Capability] = []
        for capability in invocation.values("capabilities").compactMap(Capability.init)
        where !capabilities.contains(capability) {
            capabilities.append(capability)
        }
        if invocation.flag("qr") {
            guard OutputFormat(invocation) == .table else { throw UsageError.refused("--qr and -o json exclude each other") }
            try QRCode.requirePossible(invocation.environment)
        }
        let answer = try await NodeConnection.call(
            GeneratePairing(
                pairingName: invocation.value("name"), lifetime: Int(expires.components.seconds),
                tokenBudget: budget, slots: slots, capabilities: capabilities,
                relayURL: invocation.value("relay-url"), registryURL: invocation.value("registry-url")),
            invocation)
        try OutputFormat.print(answer, invocation) { answer.token + "\n" }
        if invocation.flag("qr") { try QRCode.draw(answer.token, invocation.environment) }
        if OutputFormat(invocation) == .table {
            Console.complain(
                "The pairing \(answer.pairing.name) waits until \(shown(answer.pairing.expiresAt)). "
                    + "Redeem the token at the other peer with 'kars pair accept'; it works once.")
        }
    }
}
