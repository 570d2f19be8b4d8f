import CommandTree
import FoundationEssentials
import MeshNode
import Transport

extension Command {
    /// `kars audit`
    static let audit = Command(
        "audit", summary: "Read and check the records of decisions",
        discussion: "A peer records each decision about another peer, and for each agent what was done to it, in chains of hashes "
            + "that show a changed or missing row. The record of an agent goes along when it moves.",
        subcommands: [.auditTail, .auditVerify],
        examples: [
            Example("kars audit tail researcher", "See what was decided about an agent, wherever it was"),
            Example("kars audit tail --decision deny -f", "Watch what other peers are refused"),
            Example("kars audit verify researcher", "Check the record of an agent, over all its moves"),
        ],
        environment: [KarsHome.variable], group: "Operations")

    private static let sandboxOrPeer = Argument(
        "sandbox", help: "Name of the agent whose record is meant; without it, that of this peer", isOptional: true)

    /// `kars audit tail`
    private static let auditTail = Command(
        "tail", summary: "Show the newest decisions",
        arguments: [sandboxOrPeer],
        options: [
            .value(
                "tail", "n", kind: .integer(1...ReadAudit.maximumRows), help: "Rows to show from the end", defaultValue: "200"),
            .flag("follow", short: "f", help: "Go on with what is decided, until Ctrl-C"),
            .value(
                "decision", "kind", help: "Only rows that were decided so",
                allowed: AuditFilter.Decision.allCases.map(\.rawValue)),
            .value("agent", "id", help: "Only rows of who wanted it, exactly as the table shows it"),
            .value("tool", "name", help: "Only rows of a tool or action, such as handoff or sandbox.create"),
            .value("since", "time", help: "Only rows newer than this: 15m, or a time as 2026-11-30T15:00:00Z"),
            .flag("json", help: "Print each row as JSON on a line, as --output json"),
            NodeConnection.socket, ClusterDoor.option, OutputFormat.option,
        ],
        examples: [
            Example("kars audit tail researcher", "Show the last 200 decisions about an agent"),
            Example("kars audit tail --tool pair --since 24h --json", "Pairings of the last day, for a script"),
        ],
        environment: [KarsHome.variable]
    ) { invocation in
        let since = try PastTime.option("since", invocation).map { Date(timeIntervalSince1970: Double($0) / 1000) }
        let isJSON = invocation.flag("json") || OutputFormat(invocation) == .json
        let filter = AuditFilter(
            decision: invocation.value("decision").flatMap(AuditFilter.Decision.init), agent: invocation.value("agent"),
            tool: invocation.value("tool"), since: since)
        let name = invocation.argument("sandbox")
        try await AuditRecord.open(invocation) { node in
            let first = try await node.call(
                ReadAudit(sandboxName: name, filter: filter, last: try invocation.integer("tail") ?? 200))
            var text = AuditText(sandbox: name, isJSON: isJSON, style: Console.style(invocation.environment))
            try text.write(first.rows)
            var end = first.end
            while invocation.flag("follow") {
                try await Task.sleep(for: .milliseconds(500))
                let next = try await node.call(
                    ReadAudit(sandboxName: name, filter: filter, last: ReadAudit.maximumRows, after: end))
                try text.write(next.rows)
                end = next.end
            }
            if !invocation.flag("follow"), first.rows.isEmpty, !isJSON {
                Console.complain("no decision is recorded" + (filter == AuditFilter() ? "" : " that fits"))
            }
        }
    }

    /// `kars audit verify`
    private static let auditVerify = Command(
        "verify", summary: "Check that no row of a record was changed or taken out",
        discussion: "Whoever keeps the hash that is printed can tell later whether rows before it are missing. For an agent, the "
            + "signatures of all peers that gave it away are checked too, and that they were its home.",
        arguments: [sandboxOrPeer], options: [NodeConnection.socket, ClusterDoor.option, OutputFormat.option],
        examples: [Example("kars audit verify", "Check the record of this peer")],
        environment: [KarsHome.variable]
    ) { invocation in
        let faults: [String]
        if let name = invocation.argument("sandbox") {
            let answer = try await AuditRecord.open(invocation) { try await $0.call(CheckAgentAudit(sandboxName: name)) }
            faults = answer.faults
            try OutputFormat.print(AuditVerdict(answer), invocation) { AuditText.verdict(AuditVerdict(answer)) }
        } else {
            let answer = try await AuditRecord.open(invocation) { try await $0.call(CheckAudit()) }
            let verdict = AuditVerdict(answer)
            faults = verdict.faults
            try OutputFormat.print(verdict, invocation) { AuditText.verdict(verdict) }
        }
        if !faults.isEmpty { throw CommandEnd(status: CommandRunner.failed) }
    }
}

/// Who keeps a record: the node of this machine, a cluster's controller, or the node beside an agent in its pod.
private enum AuditRecord {
    static func open<R>(_ invocation: Invocation, _ body: (NodeClient) async throws -> R) async throws -> R {
        guard let context = ClusterDoor.context(invocation), let name = invocation.argument("sandbox") else {
            return try await NodeConnection.open(invocation, body)
        }
        let loop = try EventLoop(name: "kars")
        defer { loop.shutdown() }
        return try await body(try ClusterDoor.node(ofSandbox: name, context, invocation, loop))
    }
}

/// What a check found.
private struct AuditVerdict: Encodable {
    let rows: Int
    /// Hash of the last row.
    let head: String
    /// Empty when the record is whole.
    let faults: [String]
    /// Moves of an agent, each signed by who gave it away; nil for a peer's record.
    let moves: [CheckAgentAudit.Answer.Move]?

    init(_ answer: CheckAudit.Answer) {
        rows = answer.rows
        head = answer.head
        faults = answer.firstBrokenRow.map { ["row \($0) does not follow from the one before"] } ?? []
        moves = nil
    }

    init(_ answer: CheckAgentAudit.Answer) {
        rows = answer.rows.count
        head = answer.rows.last?.hash ?? ""
        faults = answer.faults
        moves = answer.moves
    }
}

/// How rows look: a table that grows, or a JSON object a line with the names of the contract (behaviours §4.6).
private struct AuditText {
    private struct Row: Encodable {
        let sandbox: String?
        let seq: Int
        let ts: String
        let agent_id: String
        let action: String
        let decision: String
        let prev_hash: String
        let hash: String
    }

    let sandbox: String?
    let isJSON: Bool
    let style: TerminalStyle
    private var hasHeader = false

    init(sandbox: String?, isJSON: Bool, style: TerminalStyle) {
        self.sandbox = sandbox
        self.isJSON = isJSON
        self.style = style
    }

    mutating func write(_ rows: [AuditRow]) throws {
        guard !rows.isEmpty else { return }
        guard isJSON else {
            var table = Table(header: ["TIME", "DECISION", "ACTION", "WHO"])
            for row in rows { table.add([row.time, row.decision, row.action, row.agent]) }
            let text = table.text(style)
            // Rows that follow stand under the header that is there.
            try Console.write(hasHeader ? String(text.drop { $0 != "\n" }.dropFirst()) : text)
            hasHeader = true
            return
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        for row in rows {
            let json = Row(
                sandbox: sandbox, seq: row.sequence, ts: row.time, agent_id: row.agent, action: row.action,
                decision: row.decision, prev_hash: row.previous, hash: row.hash)
            try Console.line(String(decoding: try encoder.encode(json), as: UTF8.self))
        }
    }

    static func verdict(_ verdict: AuditVerdict) -> String {
        var text = "\(verdict.rows) \(verdict.rows == 1 ? "row" : "rows"), "
            + (verdict.faults.isEmpty ? "none changed or missing\n" : "and not as they were written\n")
        for fault in verdict.faults { text += "  \(PrintableText.escaped(fault))\n" }
        if !verdict.head.isEmpty { text += "last hash: \(verdict.head)\n" }
        for move in verdict.moves ?? [] {
            let isKnown = move.isKnown.map { $0 ? "its home then" : "NOT its home then" } ?? "the registry does not tell who was"
            text += "move to epoch \(move.epoch): signed by \(move.giver), \(isKnown)\n"
        }
        return text
    }
}
