import CommandTree
import Glibc
import MeshNode

extension Command {
    /// `kars logs`
    static let logs = Command(
        "logs", summary: "Show the newest log lines of a sandbox",
        arguments: [.sandbox],
        options: [
            .value(
                "tail", "lines", kind: .integer(1...100_000), help: "Lines to show from the end",
                defaultValue: "100"),
            NodeConnection.socket,
        ],
        examples: [Example("kars logs researcher --tail 20", "Show the last 20 lines")],
        environment: [KarsHome.variable], group: "Operations", laterOptions: ["follow", "f", "service"]
    ) { invocation in
        let answer = try await NodeConnection.call(
            SandboxLogs(
                sandboxName: invocation.required("name"),
                tail: try invocation.integer("tail") ?? 100),
            invocation)
        // What an agent logs must not drive the operator's terminal; a file gets it as it is.
        let isTerminal = isatty(STDOUT_FILENO) == 1
        let lines = isTerminal ? answer.lines.map(PrintableText.escaped) : answer.lines
        try Console.write(lines.map { $0 + "\n" }.joined())
    }
}
