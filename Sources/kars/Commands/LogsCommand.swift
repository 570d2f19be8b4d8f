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
            NodeConnection.socket, ClusterDoor.option,
            .value(
                "output", short: "o", "format", help: "How to print: text, or a JSON object a line", defaultValue: "text",
                allowed: ["text", "json"]),
        ],
        examples: [
            Example("kars logs researcher --tail 20", "Show the last 20 lines"),
            Example("kars logs researcher -f", "Watch what it does"),
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
        let request = SandboxLogs(
            sandboxName: invocation.required("name"),
            tail: try invocation.integer("tail") ?? (since == nil ? 100 : mostLines), log: log, since: since,
            withTimes: text.hasTimes || isJSON ? true : nil)
        try await NodeConnection.open(invocation) { node in
            let answer = try await node.call(request)
            if answer.isCut == true, !invocation.isGiven("tail") {
                Console.complain("kars logs: more was written since; these are the newest lines")
            }
            try text.write(answer, only: log)
            if invocation.flag("follow") { try await follow(request, text, from: answer, node) }
        }
    }

    /// More are in no answer.
    private static let mostLines = 10_000

    /// Goes on behind an answer. A node that is started anew is waited for; so is an agent that is.
    private static func follow(
        _ first: SandboxLogs, _ text: LogText, from answer: SandboxLogs.Answer, _ node: NodeClient
    ) async throws {
        let patience = Duration.seconds(30), graceAfterEnd = Duration.seconds(3), pause = Duration.milliseconds(300)
        var request = first
        request.after = answer.end ?? [:]
        var lastWord = ContinuousClock.now, lastSign = ContinuousClock.now
        while true {
            do {
                let answer = try await node.call(request)
                try text.write(answer, only: request.log)
                request.after = answer.end ?? request.after
                lastSign = .now
                if answer.isOver != true { lastWord = .now } else {
                    guard ContinuousClock.now - lastWord < graceAfterEnd else {
                        return Console.complain("The sandbox \(PrintableText.escaped(request.sandboxName)) has stopped.")
                    }
                    try await Task.sleep(for: pause)
                }
            } catch let failure as OperationFailure where failure.code == .unavailable {
                guard ContinuousClock.now - lastSign < patience else { throw failure }
                try await Task.sleep(for: pause)
            }
        }
    }
}
