import CommandTree

/// A choice between two ways of a part of kars in a cluster, which a variable of its container makes: the commands that take
/// either way, and one that tells which it is.
struct ClusterSwitch: Sendable {
    /// One of the ways.
    struct Position: Sendable {
        let command: String
        var aliases: [String] = []
        let summary: String
        /// What the part is then, in one word.
        let mode: String
        /// What that means, to follow the word.
        let meaning: String
        /// What is asked before; nil where nothing is lost.
        var question: String?
    }

    private struct Answer: Encodable {
        let mode: String
    }

    /// What is switched, as messages name it: "the relay".
    let subject: String
    /// What starts anew for it.
    let part: String
    let namespace: String
    let deployment: String
    let container: String
    /// "true" or "false"; unset means true.
    let variable: String
    let on: Position
    let off: Position
    let statusSummary: String

    var subcommands: [Command] { [command(on), command(off), status] }

    private var options: [Option] {
        [
            ClusterCommand.namespace(namespace, part), ClusterCommand.deployment(deployment, part), ClusterCommand.context,
        ]
    }

    private func command(_ position: Position) -> Command {
        Command(
            position.command, aliases: position.aliases, summary: position.summary,
            options: position.question == nil ? options : options + [Confirmation.option],
            environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            try await ClusterCommand.withDeployment(container: container, invocation) { deployment in
                guard try await present(deployment).mode != position.mode else {
                    return try Console.line("\(subject) is \(position.mode) already")
                }
                if let question = position.question { try Confirmation.require(question, invocation) }
                if Console.showsProgress { Console.complain("  waiting for the \(part) to start anew") }
                try await deployment.set(variable, to: position.mode == on.mode ? "true" : "false")
                try Console.line("\(subject) is \(position.mode) now")
            }
        }
    }

    private var status: Command {
        Command(
            "status", summary: statusSummary, options: options + [OutputFormat.option], environment: [ClusterDoor.kubeconfig]
        ) { invocation in
            try await ClusterCommand.withDeployment(container: container, invocation) { deployment in
                let position = try await present(deployment)
                try OutputFormat.print(Answer(mode: position.mode), invocation) { "\(position.mode): \(position.meaning)\n" }
            }
        }
    }

    private func present(_ deployment: ClusterDeployment) async throws -> Position {
        try await deployment.value(of: variable) == "false" ? off : on
    }
}
