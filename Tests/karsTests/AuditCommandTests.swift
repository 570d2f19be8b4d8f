import Foundation
import MeshIdentity
import Storage
import TestSupport
import Testing

@testable import MeshNode

struct AuditCommandTests {
    /// Rows as a node has them.
    private static func rows(_ actions: [(action: String, decision: String)]) -> [AuditRow] {
        var end = AgentAudit.End(sequence: 0, hash: "")
        return actions.map { action, decision in
            let row = AuditRow(
                after: end, agent: "operator", action: action, decision: decision,
                now: Date(timeIntervalSince1970: 1_800_000_000))
            end = AgentAudit.End(sequence: row.sequence, hash: row.hash)
            return row
        }
    }

    @Test func decisionsAreATableOrAnObjectALine() async throws {
        let node = try await ScriptedNode()
        let rows = Self.rows([("sandbox:create", "success"), ("handoff:init", "allowed")])
        node.on(ReadAudit.self) { _ in .init(rows: rows, end: 2) }
        let table = try await node.kars("audit", "tail", "ann")
        #expect(table.status == 0)
        #expect(
            table.out == """
                TIME                       DECISION   ACTION           WHO
                2027-01-15T08:00:00.000Z   success    sandbox:create   operator
                2027-01-15T08:00:00.000Z   allowed    handoff:init     operator

                """)
        let lines = try await node.kars("audit", "tail", "ann", "--json").out.split(separator: "\n")
        #expect(try await node.kars("audit", "tail", "ann", "-o", "json").out.split(separator: "\n") == lines)
        #expect(lines.count == 2)
        let object = try JSONDecoder().decode([String: Field].self, from: Data(lines[1].utf8))
        #expect(object["seq"] == .number(2) && object["prev_hash"] == .text(rows[0].hash) && object["hash"] == .text(rows[1].hash))
        #expect(object["action"] == .text("handoff:init") && object["sandbox"] == .text("ann"))
        await node.close()
    }

    private enum Field: Decodable, Equatable {
        case number(Int), text(String)
        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            self = if let number = try? value.decode(Int.self) { .number(number) } else { .text(try value.decode(String.self)) }
        }
    }

    @Test func filtersGoToTheNode() async throws {
        let node = try await ScriptedNode()
        node.on(ReadAudit.self) { _ in .init(rows: [], end: 0) }
        let before = Date()
        let output = try await node.kars(
            "audit", "tail", "--decision", "deny", "--agent", "did:mesh:x", "--tool", "web.search", "--since", "15m", "--tail", "3")
        #expect(output.status == 0 && output.out == "" && output.err == "no decision is recorded that fits\n")
        let asked = try #require(node.requests(ReadAudit.self).first)
        #expect(asked.sandboxName == nil && asked.last == 3 && asked.filter.decision == .deny)
        #expect(asked.filter.agent == "did:mesh:x" && asked.filter.tool == "web.search")
        let since = try #require(asked.filter.since)
        #expect(since > before.addingTimeInterval(-901) && since < before.addingTimeInterval(-800))
        for wrong in [["--decision", "maybe"], ["--since", "soon"], ["--tail", "0"]] {
            #expect(try await node.kars(["audit", "tail"] + wrong).status == 2)
        }
        await node.close()
    }

    @Test func followingShowsWhatComesOnceAndUnderOneHeader() async throws {
        let node = try await ScriptedNode()
        let rows = Self.rows([("one", "allowed"), ("two", "allowed"), ("three", "denied")])
        node.on(ReadAudit.self) { request in
            guard let after = request.after else { return .init(rows: [rows[0]], end: 1) }
            return .init(rows: Array(rows.dropFirst(after).prefix(1)), end: min(after + 1, 3))
        }
        let follower = try BuiltProgram.start(["audit", "tail", "-f"], home: node.home)
        try await waitUntil("the last row") { follower.outputSoFar.contains("three") }
        follower.signal(SIGKILL)
        let output = await follower.wait()
        #expect(output.out.split(separator: "\n").map { $0.split(separator: " ").dropFirst(2).first } == ["ACTION", "one", "two", "three"])
        await node.close()
    }

    @Test func aRecordThatWasChangedEndsWithOne() async throws {
        let node = try await ScriptedNode()
        node.on(CheckAudit.self) { _ in .init(rows: 7, head: "beef", firstBrokenRow: nil) }
        let whole = try await node.kars("audit", "verify")
        #expect(whole.status == 0 && whole.out == "7 rows, none changed or missing\nlast hash: beef\n")
        node.on(CheckAgentAudit.self) { _ in
            .init(
                rows: Self.rows([("sandbox:create", "success")]),
                moves: [.init(epoch: 2, row: 1, giver: "did:mesh:a", isKnown: false)], faults: ["row 1 does not follow"])
        }
        let changed = try await node.kars("audit", "verify", "ann")
        #expect(changed.status == 1)
        #expect(changed.out.contains("1 row, and not as they were written\n  row 1 does not follow\n"))
        #expect(changed.out.contains("move to epoch 2: signed by did:mesh:a, NOT its home then\n"))
        let json = try await node.kars("audit", "verify", "ann", "-o", "json")
        #expect(json.status == 1 && json.out.contains(#""isKnown" : false"#))
        await node.close()
    }
}
