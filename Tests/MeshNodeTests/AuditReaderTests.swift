import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import MeshNode

/// What an operator reads of the records of decisions.
struct AuditReaderTests {
    private func withStore(_ body: (NodeStore) async throws -> Void) async throws {
        let folder = TemporaryFolder()
        let store = try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
        defer { store.close() }
        try await body(store)
    }

    private func actions(_ store: NodeStore, _ request: ReadAudit, of lineage: DID? = nil) async throws -> [String] {
        try await AuditReader(store: store).read(request, of: lineage).rows.map(\.action)
    }

    @Test func theNewestRowsThatFitComeInTheirOrderHoweverFarBackTheyAre() async throws {
        try await withStore { store in
            let chain = AuditChain(store: store)
            // More than one page, and what fits lies at its beginning.
            try await chain.append(agent: "did:mesh:a", action: "first", decision: "denied")
            try await chain.append(agent: "did:mesh:b", action: "second", decision: "denied")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<1_200 {
                    group.addTask { try await chain.append(agent: "did:mesh:a", action: "many", decision: "allowed") }
                }
                try await group.waitForAll()
            }
            #expect(try await actions(store, .init(filter: .init(decision: .deny), last: 5)) == ["first", "second"])
            #expect(try await actions(store, .init(filter: .init(decision: .deny), last: 1)) == ["second"])
            #expect(try await actions(store, .init(filter: .init(agent: "did:mesh:b"), last: 5)) == ["second"])
            #expect(try await actions(store, .init(last: 1_201)) == ["second"] + Array(repeating: "many", count: 1_200))
            let newest = try await AuditReader(store: store).read(.init(last: 2), of: nil)
            #expect(newest.rows.map(\.sequence) == [1_201, 1_202] && newest.end == 1_202)
            try await chain.append(agent: "did:mesh:c", action: "later", decision: "denied")
            let later = try await AuditReader(store: store).read(.init(last: 10, after: newest.end), of: nil)
            #expect(later.rows.map(\.action) == ["later"] && later.end == 1_203)
            let nothing = try await AuditReader(store: store).read(.init(last: 10, after: later.end), of: nil)
            #expect(nothing == .init(rows: [], end: 1_203))
            // Rows that do not fit are passed over, not read again.
            let allowed = try await AuditReader(store: store).read(
                .init(filter: .init(decision: .allow), last: 10, after: 1_202), of: nil)
            #expect(allowed == .init(rows: [], end: 1_203))
            let verdict = try await chain.check()
            #expect(verdict.rows == 1_203 && verdict.firstBrokenRow == nil && verdict.head == later.rows.last?.hash)
        }
    }

    @Test(arguments: [
        ("web.search", ["tool:web.search", "tool.invoke:web.search", "mcp:files:web.search"]),
        ("handoff", ["handoff:init"]), ("pair:redeem", ["pair:redeem:cloud", "pair:redeem"]), ("pair", ["pair:redeem:cloud", "pair:redeem"]),
        ("search", []), ("a|b", ["tool:a%7cb"]),
    ])
    func aToolIsFoundUnderItsNames(tool: String, found: [String]) async throws {
        try await withStore { store in
            let chain = AuditChain(store: store)
            for action in [
                "tool:web.search", "tool.invoke:web.search", "mcp:files:web.search", "tool:web.searching", "handoff:init",
                "pair:redeem:cloud", "pair:redeem", "pairing", "tool:a|b",
            ] { try await chain.append(agent: "x", action: action, decision: "allowed") }
            #expect(try await actions(store, .init(filter: .init(tool: tool), last: 100)) == found)
        }
    }

    @Test func anAgentsRecordIsReadAsTheChainsAndTimesBoundBoth() async throws {
        try await withStore { store in
            let lineage = Identity.generate().did
            let agent = AgentAudit(store: store), chain = AuditChain(store: store)
            let start = Date(timeIntervalSince1970: 1_800_000_000)
            for minute in 0..<10 {
                let now = start.addingTimeInterval(Double(minute) * 60)
                try await agent.append(lineage, agent: "operator", action: "a\(minute)", decision: "success", now: now)
                try await chain.append(agent: "operator", action: "c\(minute)", decision: "rejected", now: now)
            }
            let filter = AuditFilter(since: start.addingTimeInterval(7 * 60))
            #expect(try await actions(store, .init(filter: filter, last: 100), of: lineage) == ["a7", "a8", "a9"])
            #expect(try await actions(store, .init(filter: filter, last: 2)) == ["c8", "c9"])
            #expect(try await actions(store, .init(filter: filter, last: 5, after: 8), of: lineage) == ["a8", "a9"])
            #expect(try await actions(store, .init(last: 5), of: Identity.generate().did) == [])
        }
    }
}
