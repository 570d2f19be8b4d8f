import FoundationEssentials
import MeshIdentity

/// Which rows of a record of decisions are wanted (behaviours §13, `audit tail`).
public struct AuditFilter: Codable, Sendable, Equatable {
    public enum Decision: String, Codable, Sendable, CaseIterable {
        case allow, deny, approval

        /// The words that rows have for it.
        var words: [String] {
            switch self {
            case .allow: ["allowed", "success"]
            case .deny: ["denied", "rejected", "flagged"]
            case .approval: ["requires_approval", "approval"]
            }
        }
    }

    public var decision: Decision?
    /// Who wanted it, exactly.
    public var agent: String?
    /// A tool, or an action whatever follows its name: `x` is met by `tool:x`, `tool.invoke:x`, `mcp:<server>:x`, `x`, `x:…`.
    public var tool: String?
    public var since: Date?

    public init(decision: Decision? = nil, agent: String? = nil, tool: String? = nil, since: Date? = nil) {
        self.decision = decision
        self.agent = agent
        self.tool = tool
        self.since = since
    }

    /// A filter whose texts are written as rows have them.
    var encoded: AuditFilter {
        AuditFilter(
            decision: decision, agent: agent.map(AuditChain.encoded), tool: tool.map(AuditChain.encoded), since: since)
    }

    /// - Precondition: it is ``encoded``.
    func matches(_ row: AuditRow) -> Bool {
        if let decision, !decision.words.contains(row.decision) { return false }
        if let agent, row.agent != agent { return false }
        if let since, let time = MeshTimestamp.parse(row.time), time < since { return false }
        guard let tool else { return true }
        if row.action == tool || row.action.hasPrefix(tool + ":") { return true }
        let parts = row.action.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        switch parts.first {
        case "tool", "tool.invoke": return row.action.dropFirst(parts[0].count + 1) == tool
        case "mcp": return parts.count == 3 && parts[2] == tool
        default: return false
        }
    }
}
