import CommandTree

extension Command {
    /// `kars mesh security`
    static let meshSecurity = Command(
        "security", summary: "Choose whom a cluster's relay lets in",
        discussion: "Of the relay in the namespace agentmesh of a cluster. 'strict', which it is from the start, lets in "
            + "only whom the registry knows; 'open' anybody who proves a key.",
        subcommands: [
            meshSecurity("strict", requires: true), meshSecurity("open", requires: false), .meshSecurityStatus,
        ],
        examples: [
            Example("kars mesh security status", "See how it is"),
            Example("kars mesh security strict --context prod", "Ask for registration again"),
        ])

    private static let requirement = "KARS_RELAY_REQUIRE_REGISTRATION"
    private static let relayOptions = [
        ClusterCommand.namespace("agentmesh", "relay"), ClusterCommand.deployment("relay", "relay"), ClusterCommand.context,
    ]

    private static func meshSecurity(_ name: String, requires: Bool) -> Command {
        Command(
            name,
            summary: requires ? "Let in only whom the registry knows" : "Let in anybody who proves a key, after a question",
            options: requires ? relayOptions : relayOptions + [Confirmation.option], environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            try await ClusterCommand.withDeployment(container: "relay", invocation) { relay in
                guard try await requiresRegistration(relay) != requires else {
                    return try Console.line("the relay is \(name) already")
                }
                if !requires {
                    try Confirmation.require("Let peers that no registry knows connect to this cluster's relay", invocation)
                }
                if Console.showsProgress { Console.complain("  waiting for the relay to start anew") }
                try await relay.set(requirement, to: requires ? "true" : "false")
                try Console.line("the relay is \(name) now")
            }
        }
    }

    private static let meshSecurityStatus = Command(
        "status", summary: "Say whom the relay lets in", options: relayOptions + [OutputFormat.option],
        environment: [ClusterDoor.kubeconfig]
    ) { invocation in
        struct Answer: Encodable {
            let mode: String
            let requiresRegistration: Bool
        }
        try await ClusterCommand.withDeployment(container: "relay", invocation) { relay in
            let requires = try await requiresRegistration(relay)
            let answer = Answer(mode: requires ? "strict" : "open", requiresRegistration: requires)
            try OutputFormat.print(answer, invocation) {
                "\(answer.mode): \(requires ? "only whom the registry knows is let in" : "anybody who proves a key is let in")\n"
            }
        }
    }

    /// Unset means so.
    private static func requiresRegistration(_ relay: ClusterDeployment) async throws -> Bool {
        try await relay.value(of: requirement) != "false"
    }
}
