import CommandTree

extension Command {
    /// `kars mesh peer`
    static let meshPeer = Command(
        "peer", summary: "Choose whether a cluster deals with peers elsewhere",
        discussion: "Of the controller of a cluster. 'disable' lets it answer the nodes of its own pods only: pairings stay, "
            + "but nobody elsewhere can bring an agent, and the pods trust no peer that the controller had introduced. Agents "
            + "go on, and clients reach them as before. 'enable' restores it all.",
        subcommands: ClusterSwitch(
            subject: "federation", part: "controller", namespace: ClusterDoor.namespace, deployment: ClusterDoor.deployment,
            container: ClusterDoor.container, variable: "KARS_NODE_FEDERATION",
            on: .init(
                command: "enable", aliases: ["on"], summary: "Deal with paired peers", mode: "enabled",
                meaning: "paired peers are dealt with"),
            off: .init(
                command: "disable", aliases: ["off"],
                summary: "Deal with the nodes of its own pods only, after a question", mode: "disabled",
                meaning: "only the nodes of its own pods are dealt with",
                question: "Keep all peers elsewhere from bringing and fetching their agents"),
            statusSummary: "Say whether the controller deals with peers elsewhere"
        ).subcommands,
        examples: [
            Example("kars mesh peer status", "See how it is"),
            Example("kars mesh peer disable --context prod", "Deal with nobody elsewhere, after a question"),
        ])
}
