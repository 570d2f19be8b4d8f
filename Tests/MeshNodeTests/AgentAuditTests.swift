import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import MeshNode

/// The record of decisions about one agent, at one peer and over moves.
struct AgentAuditTests {
    private let lineage = Identity.generate().did
    private let first = Identity.generate(), second = Identity.generate()

    private func withAudits(_ body: (AgentAudit, AgentAudit, NodeStore, NodeStore) async throws -> Void) async throws {
        let folders = [TemporaryFolder(), TemporaryFolder()]
        let stores = try folders.map {
            try NodeStore(folder: $0.path, sealer: KeySealers.machineKey(folder: $0.path))
        }
        defer { for store in stores { store.close() } }
        try await body(AgentAudit(store: stores[0]), AgentAudit(store: stores[1]), stores[0], stores[1])
    }

    private func fill(_ audit: AgentAudit, rows: Int) async throws {
        for number in 0..<rows {
            try await audit.append(lineage, agent: "operator", action: "op\(number)", decision: "success")
        }
    }

    /// What a giver sends to a taker that has the first `sequence` rows.
    private func segment(
        _ audit: AgentAudit, after sequence: Int, epoch: Int, by giver: Identity
    ) async throws -> AuditSegment {
        let head = try await audit.seal(lineage, epoch: epoch, signer: giver)
        let rows = try await audit.rows(of: lineage, after: sequence, limit: AgentAudit.keptRows)
        let heads = rows.isEmpty ? [head] : try await audit.heads(of: lineage, in: (sequence + 1)...head.sequence)
        return AuditSegment(rows: rows, heads: heads)
    }

    @Test func aChainGoesOnAtThePeerThatTheAgentMovedToAndBack() async throws {
        try await withAudits { here, there, _, store async throws -> Void in
            try await fill(here, rows: 5)
            let out = try await segment(here, after: 0, epoch: 2, by: first)
            #expect(out.isSound(of: lineage, epoch: 2, from: first.publicKey))
            for _ in 1...2 {  // a crash repeats it
                try await there.adopt(out, of: lineage, epoch: 2, from: first.did)
            }
            try await fill(there, rows: 3)
            let end = try await here.end(of: lineage)
            #expect(end.sequence == 5)
            #expect(try await there.has(end, of: lineage))
            let back = try await segment(there, after: 5, epoch: 3, by: second)
            #expect(back.rows.map(\.sequence) == [6, 7, 8, 9] && back.rows[0].action == "handoff:restore")
            #expect(back.isSound(of: lineage, epoch: 3, from: second.publicKey) && back.continues(end))
            try await here.adopt(back, of: lineage, epoch: 3, from: second.did)
            let whole = try await here.whole(of: lineage)
            #expect(whole.rows.map(\.sequence) == Array(1...10) && whole.rows[9].decision == "success")
            #expect(whole.firstBrokenRow == nil && whole.brokenHeads(of: lineage).isEmpty)
            #expect(whole.heads.map(\.epoch) == [2, 3] && whole.heads.map(\.sequence) == [5, 9])
            // The taker's own chain names the head.
            let anchored = try await store.database.read { try $0.query("SELECT action FROM audit") { $0.text(0) } }
            #expect(anchored == ["handoff:restore:\(end.hash)"])
        }
    }

    @Test func whatTellsAnotherStoryIsTakenAndFlagged() async throws {
        try await withAudits { here, there, _, _ async throws -> Void in
            try await fill(here, rows: 4)
            try await fill(there, rows: 6)
            let end = try await there.end(of: lineage)
            #expect(try await !here.has(end, of: lineage))
            let out = try await segment(here, after: 0, epoch: 2, by: first)
            #expect(!out.continues(end))
            try await there.adopt(out, of: lineage, epoch: 2, from: first.did)
            let whole = try await there.whole(of: lineage)
            #expect(whole.rows.count == 5 && whole.rows[4].decision == "flagged" && whole.firstBrokenRow == nil)
        }
    }

    @Test func aGiverWithoutARecordLeavesAMark() async throws {
        try await withAudits { here, _, _, _ async throws -> Void in
            try await fill(here, rows: 2)
            try await here.adopt(nil, of: lineage, epoch: 2, from: first.did)
            let whole = try await here.whole(of: lineage)
            #expect(whole.rows.map(\.decision) == ["success", "success", "flagged"] && whole.firstBrokenRow == nil)
        }
    }

    @Test func onlyTheLatestRowsAreKeptAndTheyHold() async throws {
        try await withAudits { here, there, store, _ async throws -> Void in
            try await fill(here, rows: 3)
            // As after many more rows.
            try await store.database.write { try $0.execute("DELETE FROM agent_audit WHERE seq < 3") }
            try await fill(here, rows: 2)
            let out = try await segment(here, after: 0, epoch: 9, by: first)
            #expect(out.rows.map(\.sequence) == [3, 4, 5] && out.isSound(of: lineage, epoch: 9, from: first.publicKey))
            try await there.adopt(out, of: lineage, epoch: 9, from: first.did)
            #expect(try await there.whole(of: lineage).rows.last?.decision == "success")
        }
    }

    @Test func noChangeOfARowOrHeadGoesUnseen() async throws {
        try await withAudits { here, _, _, _ async throws -> Void in
            try await fill(here, rows: 6)
            _ = try await here.seal(lineage, epoch: 2, signer: first)
            try await fill(here, rows: 2)
            let good = try await segment(here, after: 0, epoch: 3, by: second)
            func isSound(
                _ segment: AuditSegment, epoch: Int = 3, lineage: DID? = nil, from key: PublicKey? = nil
            ) -> Bool {
                segment.isSound(of: lineage ?? self.lineage, epoch: epoch, from: key ?? second.publicKey)
            }
            #expect(isSound(good))
            #expect(!isSound(good, epoch: 4) && !isSound(good, lineage: first.did))
            #expect(!isSound(good, from: first.publicKey))
            for index in good.rows.indices {
                var without = good
                without.rows.remove(at: index)
                // Rows from the beginning may be missing: the taker may have them.
                #expect(isSound(without) == (index == 0), "\(index)")
                var doubled = good
                doubled.rows.insert(good.rows[index], at: index)
                #expect(!isSound(doubled))
            }
            for index in good.heads.indices {
                var without = good
                without.heads.remove(at: index)
                #expect(isSound(without) == (index == 0))
            }
            var swapped = good
            swapped.heads.swapAt(0, 1)
            #expect(!isSound(swapped))
            // Any byte of it as it travels.
            let encoded = PeerJSON.encode(good)
            var random = SeededRandom(seed: 31)
            for _ in 0..<600 {
                let mutated = random.mutation(of: encoded)
                guard let segment = PeerJSON.decode(AuditSegment.self, from: mutated), segment != good else { continue }
                // Rows that are not there are not changed: a shorter beginning, or an older head less.
                let isPart = good.rows.suffix(segment.rows.count) == segment.rows[...]
                    && segment.heads.allSatisfy(good.heads.contains)
                #expect(!isSound(segment) || isPart)
            }
        }
    }

    @Test func rowsBeyondTheirBoundsAreRefused() {
        let end = AgentAudit.End(sequence: 0, hash: "")
        func row(_ agent: String) -> AuditRow {
            AuditRow(after: end, agent: agent, action: "a", decision: "d", now: Date())
        }
        #expect(row("a|b\n%").isSound && !row(String(repeating: "a", count: 513)).isSound)
        for field in ["a|b", "a\nb"] {
            let time = MeshTimestamp.format(Date())
            let forged = AuditRow(
                sequence: 1, time: time, agent: field, action: "a", decision: "d", previous: "",
                hash: AuditChain.hash(1, time, field, "a", "d", ""))
            #expect(!forged.isSound)
        }
    }
}
