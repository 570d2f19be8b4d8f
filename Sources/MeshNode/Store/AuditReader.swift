import MeshIdentity
import Storage

/// Answers what an operator asks of the records of decisions.
public struct AuditReader: Sendable {
    /// Rows read at once.
    private static let pageRows = 1_000
    /// Rows looked through for one answer, so that a filter that fits nothing ends.
    private static let searchedRows = 1_000_000

    private let store: NodeStore

    public init(store: NodeStore) { self.store = store }

    /// - Parameter lineage: of the agent; nil for this peer's own record.
    public func read(_ request: ReadAudit, of lineage: DID?) async throws -> ReadAudit.Answer {
        let filter = request.filter.encoded
        let limit = min(max(request.last, 1), ReadAudit.maximumRows)
        let agents = AgentAudit(store: store), chain = AuditChain(store: store)
        if let after = request.after {
            let rows =
                if let lineage {
                    try await agents.rows(of: lineage, after: after, limit: limit)
                } else { try await chain.rows(after: after, limit: limit) }
            return .init(rows: rows.filter(filter.matches), end: rows.last?.sequence ?? after)
        }
        if let lineage {
            let rows = try await agents.rows(of: lineage, after: 0, limit: AgentAudit.keptRows)
            return .init(rows: rows.filter(filter.matches).suffix(limit), end: rows.last?.sequence ?? 0)
        }
        // From the newest back: a long record is not read whole for its last rows.
        var (found, before, searched): ([AuditRow], Int, Int) = ([], .max, 0)
        var end = 0
        while found.count < limit, searched < Self.searchedRows {
            let page = try await chain.rows(before: before, limit: Self.pageRows)
            guard let oldest = page.last else { break }
            if before == .max { end = page[0].sequence }
            (before, searched) = (oldest.sequence, searched + page.count)
            found += page.filter(filter.matches).prefix(limit - found.count)
        }
        return .init(rows: found.reversed(), end: end)
    }
}
