import CommandTree

extension Command {
    /// `kars mesh peer`
    static let meshPeer = Command(
        "peer", summary: "Choose whether a cluster deals with peers elsewhere",
        discussion: "Of the controller of a cluster. 'disable' lets it answer the nodes of its own pods only: pairings stay, "
            + "but nobody elsewhere can bring an agent, and the pods trust no peer that the controller had introduced. Agents "
            + "go on, and clients reach them as before. 'enable' restores it all.",
        subcommands: [
            meshPeer("enable", alias: "on", isOn: true), meshPeer("disable", alias: "off", isOn: false), .meshPeerStatus,
        ],
        examples: [
            Example("kars mesh peer status", "See how it is"),
            Example("kars mesh peer disable --context prod", "Deal with nobody elsewhere, after a question"),
        ])

    private static let federation = "KARS_NODE_FEDERATION"
    private static let controllerOptions = [
        ClusterCommand.namespace(ClusterDoor.namespace, "controller"),
        ClusterCommand.deployment(ClusterDoor.deployment, "controller"), ClusterCommand.context,
    ]

    private static func meshPeer(_ name: String, alias: String, isOn: Bool) -> Command {
        Command(
            name, aliases: [alias],
            summary: isOn ? "Deal with paired peers" : "Deal with the nodes of its own pods only, after a question",
            options: isOn ? controllerOptions : controllerOptions + [Confirmation.option], environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            try await ClusterCommand.withDeployment(container: ClusterDoor.container, invocation) { controller in
                guard try await isEnabled(controller) != isOn else {
                    return try Console.line("federation is \(name)d already")
                }
                if !isOn {
                    try Confirmation.require("Keep all peers elsewhere from bringing and fetching their agents", invocation)
                }
                if Console.showsProgress { Console.complain("  waiting for the controller to start anew") }
                try await controller.set(federation, to: isOn ? "true" : "false")
                try Console.line("federation is \(name)d now")
            }
        }
    }

    private static let meshPeerStatus = Command(
        "status", summary: "Say whether the controller deals with peers elsewhere",
        options: controllerOptions + [OutputFormat.option], environment: [ClusterDoor.kubeconfig]
    ) { invocation in
        struct Answer: Encodable {
            let mode: String
            let isEnabled: Bool
        }
        try await ClusterCommand.withDeployment(container: ClusterDoor.container, invocation) { controller in
            let isOn = try await isEnabled(controller)
            try OutputFormat.print(Answer(mode: isOn ? "enabled" : "disabled", isEnabled: isOn), invocation) {
                isOn ? "enabled: paired peers are dealt with\n" : "disabled: only the nodes of its own pods are dealt with\n"
            }
        }
    }

    /// Unset means so.
    private static func isEnabled(_ controller: ClusterDeployment) async throws -> Bool {
        try await controller.value(of: federation) != "false"
    }
}
