import CommandTree
import Glibc
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
            """,
        arguments: [.sandbox],
        options: [
            .flag("follow", short: "f", help: "Go on with what is written, until Ctrl-C or the sandbox's end"),
            .value(
                "tail", "lines", kind: .integer(1...100_000), help: "Lines to show from the end",
                defaultValue: "100"),
            .value(
                "service", "svc", help: "Whose lines", defaultValue: "all",
                allowed: ["router", "gateway", "openclaw", "node-host", "all"]),
            NodeConnection.socket, ClusterDoor.option,
        ],
        examples: [
            Example("kars logs researcher --tail 20", "Show the last 20 lines"),
            Example("kars logs researcher -f", "Watch what it does"),
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
        let name = invocation.required("name")
        try await NodeConnection.open(invocation) { node in
            let answer = try await node.call(
                SandboxLogs(sandboxName: name, tail: try invocation.integer("tail") ?? 100, log: log))
            try LogText.write(answer)
            if invocation.flag("follow") { try await follow(name, log, from: answer, node) }
        }
    }

    /// Goes on behind an answer. A node that is started anew is waited for; so is an agent that is.
    private static func follow(
        _ name: String, _ log: SandboxLog?, from first: SandboxLogs.Answer, _ node: NodeClient
    ) async throws {
        let patience = Duration.seconds(30), graceAfterEnd = Duration.seconds(3), pause = Duration.milliseconds(300)
        var end = first.end ?? [:]
        var lastWord = ContinuousClock.now, lastSign = ContinuousClock.now
        while true {
            do {
                let answer = try await node.call(SandboxLogs(sandboxName: name, tail: 1, log: log, after: end))
                try LogText.write(answer)
                end = answer.end ?? end
                lastSign = .now
                if answer.isOver != true { lastWord = .now } else {
                    guard ContinuousClock.now - lastWord < graceAfterEnd else {
                        return Console.complain("The sandbox \(PrintableText.escaped(name)) has stopped.")
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

/// How log lines look.
private enum LogText {
    static func write(_ answer: SandboxLogs.Answer) throws {
        // What an agent logs must not drive the operator's terminal; a file gets it as it is.
        let isTerminal = isatty(STDOUT_FILENO) == 1
        var text = ""
        for (index, line) in answer.lines.enumerated() {
            if answer.logs.map({ $0.indices.contains(index) && $0[index] == .host }) == true { text += "node-host: " }
            text += (isTerminal ? PrintableText.escaped(line) : line) + "\n"
        }
        if !text.isEmpty { try Console.write(text) }
    }
}
