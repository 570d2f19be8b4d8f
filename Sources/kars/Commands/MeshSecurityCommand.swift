import CommandTree

extension Command {
    /// `kars mesh security`
    static let meshSecurity = Command(
        "security", summary: "Choose whom a cluster's relay lets in",
        discussion: "Of the relay in the namespace agentmesh of a cluster. 'strict', which it is from the start, lets in "
            + "only whom the registry knows; 'open' anybody who proves a key.",
        subcommands: ClusterSwitch(
            subject: "the relay", part: "relay", namespace: "agentmesh", deployment: "relay", container: "relay",
            variable: "KARS_RELAY_REQUIRE_REGISTRATION",
            on: .init(
                command: "strict", summary: "Let in only whom the registry knows", mode: "strict",
                meaning: "only whom the registry knows is let in"),
            off: .init(
                command: "open", summary: "Let in anybody who proves a key, after a question", mode: "open",
                meaning: "anybody who proves a key is let in",
                question: "Let peers that no registry knows connect to this cluster's relay"),
            statusSummary: "Say whom the relay lets in"
        ).subcommands,
        examples: [
            Example("kars mesh security status", "See how it is"),
            Example("kars mesh security strict --context prod", "Ask for registration again"),
        ])
}
