import CommandTree
import MeshNode
import Sandboxes

extension Command {
    /// `kars logs`
    static let logs = Command(
        "logs", summary: "Show log lines of a sandbox",
        discussion: """
            The services openclaw and gateway are the agent, whatever runtime it has; node-host is the first process \
            of the sandbox, which says something only when it cannot do its work. Where both are shown, its lines \
            begin with 'node-host:'.

            Every line of the agent is stored with the time it was written. --timestamps shows '-' for lines without \
            one: those of node-host, and those that an older version stored.

            The lines of an agent that moved to another peer come from there, through the pairing with that peer; \
            --follow goes on with an agent that moves meanwhile.
            """,
        arguments: [.sandbox],
        options: [
            .flag("follow", short: "f", help: "Go on with what is written, until Ctrl-C or the sandbox's end"),
            .value(
                "tail", "lines", kind: .integer(1...100_000), help: "Lines to show from the end, at most 10000",
                defaultNote: "100, with --since all"),
            .value(
                "since", "time", help: "Only lines written since: how long ago, as 10m, or a time as 2026-11-30T15:00:00Z"),
            .flag("timestamps", help: "Show when each line was written, UTC"),
            .value(
                "service", "svc", help: "Whose lines", defaultValue: "all",
                allowed: ["router", "gateway", "openclaw", "node-host", "all"]),
            .flag("local", help: "What the agent wrote here, also when it has moved away"),
            .flag("cloud", help: "Only when the agent lives at another peer", conflicts: ["local", "context"]),
            NodeConnection.socket, ClusterDoor.option,
            .value(
                "output", short: "o", "format", help: "How to print: text, or a JSON object a line", defaultValue: "text",
                allowed: ["text", "json"]),
        ],
        examples: [
            Example("kars logs researcher --tail 20", "Show the last 20 lines"),
            Example("kars logs researcher -f", "Watch what it does, wherever it lives"),
            Example("kars logs researcher --since 10m --timestamps", "See what it did in the last ten minutes, and when"),
        ],
        environment: [KarsHome.variable], group: "Operations"
    ) { invocation in
        let log: SandboxLog?
        switch invocation.value("service") {
        case "router": throw UsageError.refused("there is no inference router yet, so it has no log")
        case "gateway", "openclaw": log = .agent
        case "node-host": log = .host
        default: log = nil
        }
        let since = try PastTime.option("since", invocation)
        let isJSON = invocation.value("output") == "json"
        let text = LogText(hasTimes: invocation.flag("timestamps"), isJSON: isJSON)
        let request = LogRequest(
            tail: try invocation.integer("tail") ?? (since == nil ? 100 : mostLines), log: log,
            follows: invocation.flag("follow"), since: since, withTimes: text.hasTimes || isJSON ? true : nil)
        // A controller is asked for what is written in its cluster alone.
        let isHere = invocation.flag("local") || ClusterDoor.context(invocation) != nil
        try await NodeConnection.open(invocation) { node in
            try await LogWatch(
                name: invocation.required("name"), request: request, saysWhenCut: !invocation.isGiven("tail"), text: text,
                place: isHere ? .here : invocation.flag("cloud") ? .elsewhere : .anywhere, node: node
            ).run()
        }
    }

    /// More are in no answer.
    private static let mostLines = 10_000
}
