import CommandTree
import MeshNode

extension Command {
    /// `kars node stop`
    static let nodeStop = Command(
        "stop", summary: "End the node, relay and registry that 'kars dev' started",
        discussion: """
            Sandboxes go on running, and the next 'kars dev' takes them up again; 'kars destroy' removes them. Only \
            what 'kars dev' or 'kars add' started in the background of this home folder is ended.
            """,
        examples: [Example("kars node stop", "End the services of this home folder")],
        environment: [KarsHome.variable]
    ) { invocation in
        var running: [String] = []
        if let sandboxes = try? await NodeConnection.call(ListSandboxes(), invocation) {
            running = sandboxes.filter { $0.status == "running" }.map(\.name).sorted()
        }
        let stopped = try BackgroundServices(invocation).stop()
        guard !stopped.isEmpty else {
            if try await NodeConnection.isAnswering(invocation) {
                throw OperationFailure(
                    .refused, "the node of this home folder was not started by 'kars dev'",
                    hint: "end it where it runs, with Ctrl-C or SIGTERM")
            }
            return try Console.line("nothing runs in the background")
        }
        try Console.line("stopped \(stopped.joined(separator: ", "))")
        if !running.isEmpty, stopped.contains(BackgroundServices.node) {
            Console.complain("Still running: \(running.map(PrintableText.escaped).joined(separator: ", ")).")
        }
    }
}
