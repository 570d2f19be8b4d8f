import CommandTree
import FoundationEssentials
import MeshNode

/// How offloads look to a person, and how a task is read.
enum OffloadText {
    private static let maximumTaskBytes = 32 << 10

    /// As ``OutputFormat/option``, for commands whose --output is a folder.
    static let formatOption = Option.value(
        "format", short: "o", "format", help: "How to print the result", defaultValue: OutputFormat.table.rawValue,
        allowed: OutputFormat.allCases.map(\.rawValue))

    static func table(_ offloads: [OffloadProgress], style: TerminalStyle) -> String {
        var table = Table(header: ["ID", "PHASE", "PEER", "TASK", "CREATED"])
        for offload in offloads {
            table.add([
                String(offload.id.prefix(8)), offload.phase.rawValue, PrintableText.escaped(offload.peer),
                PrintableText.escaped(offload.task), shown(offload.createdAt),
            ])
        }
        return table.text(style)
    }

    /// Offloads that run here, for others.
    static func servedTable(_ offloads: [OffloadProgress], style: TerminalStyle) -> String {
        var table = Table(header: ["OFFLOAD", "PHASE", "REQUESTER", "TASK", "CREATED"])
        for offload in offloads {
            table.add([
                offload.sandbox, offload.phase.rawValue, PrintableText.escaped(offload.peer),
                PrintableText.escaped(offload.task), shown(offload.createdAt),
            ])
        }
        return table.text(style)
    }

    static func facts(_ offload: OffloadProgress) -> String {
        var rows = [
            ("Id", offload.id), ("Phase", offload.phase.rawValue), ("Peer", PrintableText.escaped(offload.peer)),
            ("Task", PrintableText.escaped(offload.task)), ("Sandbox there", offload.sandbox),
            ("Sent", "\(offload.fileCount) names, \(HandoffText.size(offload.fileBytes))"),
            ("Created", shown(offload.createdAt)), ("Updated", shown(offload.updatedAt)),
        ]
        if let allowance = offload.allowance { rows.append(("Tokens allowed", String(allowance))) }
        if let message = offload.message { rows.append(("Message", PrintableText.escaped(message))) }
        if let result = offload.result { rows += figures(result) }
        return kars.facts(rows)
    }

    private static func figures(_ result: OffloadProgress.Result) -> [(String, String)] {
        let tokens = result.tokens.map { "\($0.total) (\($0.prompt) prompt, \($0.completion) completion)" }
        return [
            ("Tokens", tokens ?? "not reported"), ("Took", "\(result.seconds) s"),
            ("Files", "\(result.files.count), \(HandoffText.size(result.files.reduce(0) { $0 + $1.bytes }))"),
        ]
    }

    static func step(_ offload: OffloadProgress) -> String {
        switch offload.phase {
        case .validating: "sending the files to \(offload.peer)"
        case .spawning: "\(offload.peer) makes the sandbox \(offload.sandbox)"
        case .ready: "the agent is ready"
        case .working: "the agent works on it"
        case .done, .failed, .cleaned: offload.phase.rawValue
        }
    }

    /// - Throws: for one that has made nothing.
    static func require(_ offload: OffloadProgress) throws(OperationFailure) {
        switch offload.phase {
        case .done: return
        case .failed:
            throw OperationFailure(.failed, "the offload \(offload.id) failed: \(offload.message ?? "no reason given")")
        case .cleaned:
            throw OperationFailure(
                .failed, "the offload \(offload.id) was ended: \(offload.message ?? "no reason given")")
        case .validating, .spawning, .ready, .working:
            throw OperationFailure(
                .conflict, "the offload \(offload.id) is not done: \(offload.phase.rawValue)",
                hint: "'kars offload status \(offload.id.prefix(8))' shows how far it is")
        }
    }

    /// The agent's answer on standard output, what else there is to say on standard error.
    static func printResult(_ offload: OffloadProgress, _ invocation: Invocation) throws {
        if invocation.value("format") == OutputFormat.json.rawValue {
            return try Console.line(OutputFormat.json(offload))
        }
        guard let result = offload.result else { return }
        try Console.line(printable(result.summary))
        if result.isCut { Console.complain("The answer was longer; the rest of it was not carried.") }
        let figures = figures(result).map { "\($0.0.lowercased()): \($0.1)" }.joined(separator: ", ")
        Console.complain("\(offload.id.prefix(8)) \(figures)")
        for file in result.files {
            Console.complain("  \(PrintableText.escaped(file.path)), \(HandoffText.size(file.bytes))")
        }
        if !result.files.isEmpty, invocation.value("output") == nil {
            Console.complain(
                "'kars offload result \(offload.id.prefix(8)) --output <dir>' writes the files to a folder.")
        }
    }

    /// An answer of several lines, each safe for a terminal.
    static func printable(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { PrintableText.escaped(String($0)) }
            .joined(separator: "\n")
    }

    /// The task: the argument, standard input for `-`, or a file.
    static func task(_ invocation: Invocation) throws(UsageError) -> String {
        let text: String
        switch (invocation.argument("task"), invocation.value("task-file")) {
        case (nil, nil): throw .refused("give the task, - to read it from standard input, or --task-file")
        case (_?, _?): throw .conflict("<task>", "--task-file")
        case (nil, let path?):
            guard let bytes = FileManager.default.contents(atPath: path) else {
                throw .refused("--task-file: \(path) cannot be read")
            }
            text = try decoded(bytes)
        case ("-", nil):
            var bytes = Data()
            while bytes.count <= maximumTaskBytes, let line = readLine(strippingNewline: false) {
                bytes += Data(line.utf8)
            }
            text = try decoded(bytes)
        case (let words?, nil): text = words
        }
        guard text.utf8.count <= maximumTaskBytes else {
            throw .refused("the task is more than \(maximumTaskBytes) bytes")
        }
        let task = text.trimmingWhitespace
        guard !task.isEmpty else { throw .refused("the task is empty") }
        return task
    }

    private static func decoded(_ bytes: Data) throws(UsageError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .refused("the task is not UTF-8 text") }
        return text
    }
}
