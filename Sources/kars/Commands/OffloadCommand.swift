import CommandTree
import FoundationEssentials
import Glibc
import MeshNode

extension Command {
    /// `kars offload`
    static let offload = Command(
        "offload", summary: "Have a paired peer work on a task",
        discussion: """
            The peer makes a sandbox for the task, puts the files into it, and gives the task to the agent in it. Its \
            answer and the files that it leaves come back, and the sandbox goes. The pairing must grant offload; its \
            slots and its token budget bound what can run.

              validating ──▶ spawning ──▶ ready ──▶ working ──▶ done

            Ctrl-C stops watching, not the offload. A task that is one of the words list, status, result and cancel is \
            given with --task-file.
            """,
        arguments: [Argument("task", help: "What to do, or - to read it from standard input", isOptional: true)],
        options: [
            .value("to", "peer", help: "Who works on it: cloud, or the name of a pairing or its peer"),
            .value("task-file", "file", kind: .file, help: "Read the task from a file"),
            .list(
                "file", "path", kind: .file, commaSeparated: false,
                help: "A file or folder that goes along, under its own name"),
            .value("timeout", "duration", kind: .duration, help: "When it is to be over", defaultValue: "30m"),
            .value(
                "max-tokens", "n", kind: .integer(1...1_000_000_000), help: "Model tokens it may spend",
                defaultNote: "32000, or what is left of the budget"),
            .value("model", "name", help: "Model for the agent", defaultNote: "the peer's choice"),
            .value(
                "output", "dir", kind: .directory, help: "Where the files that come back go; empty or not there",
                defaultNote: "they stay with the node", conflicts: ["no-wait"]),
            .flag("no-wait", help: "Return once the peer has taken it"),
            NodeConnection.socket,
            // -o alone: --output is where the files go.
            OffloadText.formatOption,
        ],
        subcommands: [.offloadList, .offloadStatus, .offloadResult, .offloadCancel],
        examples: [
            Example(
                "kars offload 'summarise the papers' --to cloud --file papers --output summary",
                "Send a folder, get files"),
            Example("kars offload --task-file task.md --to cloud --timeout 2h --no-wait", "Leave it to itself"),
            Example("kars offload status 3f9a01bc", "See how far it is"),
            Example("kars offload result 3f9a01bc --output summary", "Collect what it made"),
        ],
        environment: [KarsHome.variable], group: "Agent mobility"
    ) { invocation in
        guard let target = invocation.value("to") else {
            throw UsageError.refused("say who is to work on it: --to <peer>, as 'kars pair list' names them")
        }
        let task = try OffloadText.task(invocation)
        guard let timeout = try invocation.duration("timeout") else {
            preconditionFailure("options with defaults have values")
        }
        let request = StartOffload(
            task: task, target: target, files: invocation.values("file").map(absolutePath),
            preferences: OffloadPreferences(
                model: invocation.value("model"), maximumTokens: try invocation.integer("max-tokens"),
                timeout: Int(timeout.components.seconds)))
        try await OffloadWatch(request: request, folder: invocation.value("output").map(absolutePath)).run(invocation)
    }

    private static let offloadID = Argument("id", help: "Its id, or at least the first four characters of it")

    private static let offloadList = Command(
        "list", aliases: ["ls"], summary: "List what other peers work on for this one", options: NodeConnection.options,
        environment: [KarsHome.variable]
    ) { invocation in
        let offloads = try await NodeConnection.call(ListOffloads(role: .asked), invocation)
        try OutputFormat.print(offloads, invocation) {
            offloads.isEmpty
                ? "no offloads\n" : OffloadText.table(offloads, style: Console.style(invocation.environment))
        }
    }

    private static let offloadStatus = Command(
        "status", summary: "Show how far an offload is", arguments: [offloadID], options: NodeConnection.options,
        environment: [KarsHome.variable]
    ) { invocation in
        let offload = try await NodeConnection.call(ShowOffload(id: invocation.required("id")), invocation)
        try OutputFormat.print(offload, invocation) { OffloadText.facts(offload) }
    }

    private static let offloadResult = Command(
        "result", summary: "Show what an offload made, and collect its files", arguments: [offloadID],
        options: [
            .value(
                "output", "dir", kind: .directory, help: "Where the files go; empty or not there",
                defaultNote: "they stay with the node"),
            NodeConnection.socket, OffloadText.formatOption,
        ],
        examples: [Example("kars offload result 3f9a01bc --output summary", "Write the files to a folder")],
        environment: [KarsHome.variable]
    ) { invocation in
        let offload = try await NodeConnection.call(
            ShowOffload(id: invocation.required("id"), folder: invocation.value("output").map(absolutePath)), invocation
        )
        try OffloadText.require(offload)
        try OffloadText.printResult(offload, invocation)
    }

    private static let offloadCancel = Command(
        "cancel", summary: "End an offload, there and here",
        discussion: "One that is over is forgotten, with the files that the node keeps of it.", arguments: [offloadID],
        options: NodeConnection.options, environment: [KarsHome.variable]
    ) { invocation in
        let offload = try await NodeConnection.call(CancelOffload(id: invocation.required("id")), invocation)
        try OutputFormat.print(offload, invocation) {
            offload.phase == .cleaned ? "ended the offload \(offload.id)\n" : "forgot the offload \(offload.id)\n"
        }
    }
}
