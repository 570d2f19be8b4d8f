import CommandTree
import Resources

extension Command {
    /// `kars toolpolicy`, contract: resources §5.
    static let toolPolicy = ManagedKind(
        type: ToolPolicySpec.self, command: "toolpolicy", aliases: ["tp"],
        summary: "Manage which tools agents may call",
        discussion: "A ToolPolicy bounds calls of tools: how often, for how much money, and when a person is asked. It "
            + "counts for a tool, a server of tools, sandboxes with a label, or any of them together.",
        options: [
            .value("tool", "name", help: "Tool it counts for, * for all"),
            .value("mcp-server", "name", help: "McpServer it counts for"),
            .labels("sandbox-label"),
            .number("rps", help: "Calls in a second"), .number("burst", help: "Calls at once"),
            .value("window", "time", help: "Time the calls are counted over, such as 1m or 24h"),
            .value("daily-cap", "amount", help: "Most money of a day, such as 'USD 100.00'"),
            .value("monthly-cap", "amount", help: "Most money of a month"),
            .value("per-transfer-cap", "amount", help: "Most money at once"),
            .list("counterparty", "name", commaSeparated: false, help: "Who may be paid"),
            .value(
                "approval-mode", "mode", help: "When a person is asked",
                allowed: ToolPolicySpec.ApprovalMode.allCases.map(\.rawValue)),
            .value("approval-threshold", "amount", help: "Amount from which a person is asked, with aboveThreshold"),
            .value("approval-channel", "name", help: "Where the person is asked"),
            .displayName,
        ],
        columns: [.init("TOOL", "spec", "appliesTo", "tool"), .init("DAILYCAP", "spec", "commerce", "dailyCap")],
        examples: [
            Example("kars tp apply rate-limit --tool '*' --rps 10 --burst 20 -n kars-system", "Bound all tools"),
            Example(
                "kars tp apply payments --tool send-payment --daily-cap 'USD 500.00' --approval-mode aboveThreshold "
                    + "--approval-threshold 'USD 50.00'", "Bound payments, and ask above an amount"),
            Example("kars tp apply payments --from-file policy.yaml", "Take it from a file"),
            Example("kars tp list -n kars-system", "List those that sandboxes can refer to"),
        ],
        draft: { invocation throws(UsageError) in
            var draft = SpecDraft(invocation)
            draft.text("tool", "appliesTo", "tool")
            draft.text("mcp-server", "appliesTo", "mcpServer")
            try draft.labels("sandbox-label", "appliesTo", "sandboxMatchLabels")
            guard draft.spec["appliesTo"] != nil else {
                throw .refused("say what it counts for: --tool, --mcp-server or --sandbox-label, or give --from-file")
            }
            try draft.number("rps", "rateLimit", "rps")
            try draft.number("burst", "rateLimit", "burst")
            draft.text("window", "rateLimit", "window")
            draft.text("daily-cap", "commerce", "dailyCap")
            draft.text("monthly-cap", "commerce", "monthlyCap")
            draft.text("per-transfer-cap", "commerce", "perTransferCap")
            draft.list("counterparty", "commerce", "counterpartyAllowlist")
            draft.text("approval-mode", "approval", "mode")
            draft.text("approval-threshold", "approval", "threshold")
            draft.text("approval-channel", "approval", "channel")
            draft.text("display-name", "displayName")
            return .init(spec: draft.spec)
        },
        isUsed: { object, sandbox in
            if sandbox[path: ["spec", "governance", "toolPolicyRef", "name"]]?.stringValue == object.name { return true }
            return sandbox.hasAll(object[path: ["spec", "appliesTo", "sandboxMatchLabels"]])
        }
    ).tree
}

extension KubernetesObject {
    /// Whether it has each of some labels, of which there is one at least.
    func hasAll(_ wanted: JSONValue?) -> Bool {
        guard let wanted = wanted?.objectValue, !wanted.isEmpty else { return false }
        let own = labels
        return wanted.allSatisfy { own[$0.key] == $0.value.stringValue }
    }
}
