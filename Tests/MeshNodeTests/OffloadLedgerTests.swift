import Foundation
import MeshIdentity
import Observability
import Storage
import TestSupport
import Testing

@testable import MeshNode

/// Slots, budgets and the record of offloads on the disk.
struct OffloadLedgerTests {
    private let folder = TemporaryFolder()

    private func open() throws -> NodeStore {
        try NodeStore(folder: folder.path, sealer: KeySealers.machineKey(folder: folder.path))
    }

    private static func pairing(
        _ peer: PeerIdentity, _ store: NodeStore, slots: Int = 1, budget: Int = 1_000, role: Pairing.Role = .issuer,
        capabilities: [Capability] = [.offload], expiresAt: Date = .distantFuture, name: String = "p"
    ) async throws {
        let pairing = Pairing(
            name: name, role: role, phase: .active, peerKey: peer.key, peerName: "peer", capabilities: capabilities,
            slots: slots, tokenBudget: budget, expiresAt: expiresAt, createdAt: Date(), pairedAt: Date())
        try await store.database.write {
            try $0.execute(
                "INSERT OR REPLACE INTO pairing (name, role, token_hash, peer_key, record) VALUES (?, ?, NULL, ?, ?)",
                .text(name), .text(role.rawValue), .blob(peer.key.bytes), .blob(PeerJSON.encode(pairing)))
        }
    }

    private static func record(
        _ peer: PeerIdentity, _ id: String = FrameID.make(), tokens: Int? = nil, digest: String = "d"
    ) -> OffloadRecord {
        OffloadRecord(
            role: .served, peer: peer, id: id, peerName: "", pairing: "", task: "a secret task",
            preferences: OffloadPreferences(maximumTokens: tokens, timeout: 60), files: WireBytes([1]), digest: digest)
    }

    private static func peer() -> PeerIdentity { PeerIdentity(key: Identity.generate().publicKey) }

    private func accept(_ record: OffloadRecord, _ ledger: OffloadLedger, open: Int = 100) async throws -> OffloadRecord
    {
        try await ledger.accept(record, standardAllowance: 300, maximumOpen: open).record
    }

    @Test func ofAnyNumberOfRequestsAtOnceAsManyAsThereAreSlotsAreTaken() async throws {
        let store = try open()
        let (ledger, peer) = (OffloadLedger(store: store), Self.peer())
        try await Self.pairing(peer, store, slots: 3, budget: 1_000_000)
        let taken = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<60 {
                group.addTask {
                    (try? await ledger.accept(Self.record(peer), standardAllowance: 300, maximumOpen: 100)) != nil
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(taken == 3)
        #expect(try await ledger.all(.served).count == 3)
        store.close()
    }

    @Test func runningOnesSetTheirTokensAsideAndEndedOnesAreCountedOnce() async throws {
        let store = try open()
        let (ledger, peer) = (OffloadLedger(store: store), Self.peer())
        try await Self.pairing(peer, store, slots: 9, budget: 1_000)
        let first = try await accept(Self.record(peer), ledger)
        let second = try await accept(Self.record(peer, tokens: 5_000), ledger)
        #expect(first.allowance == 300 && second.allowance == 700)
        await #expect { try await accept(Self.record(peer), ledger) } throws: {
            "\($0)".contains("set aside")
        }
        // Of the first the agent reports 120; of the second it tells nothing, so all of it counts.
        for _ in 0..<3 {
            try await ledger.change(first.key) { record in
                guard !record.phase.isOver else { return }
                record.phase = .done
                record.outcome = OffloadOutcome(
                    summary: "s", isCut: false, tokens: OffloadTokens(prompt: 100, completion: 20), seconds: 1,
                    files: WireBytes([]))
            }
            try await ledger.change(second.key) { record in
                record.hasBegun = true
                record.phase = .failed
            }
            try await ledger.change(first.key) { $0.phase = .cleaned }
        }
        let pairing = try await store.database.read { try PairingService.find("p", $0) }
        #expect(pairing?.tokensUsed == 820 && pairing?.offloadsCompleted == 1 && pairing?.offloadsFailed == 1)
        #expect(pairing?.lastOffloadAt != nil)
        #expect(try await accept(Self.record(peer), ledger).allowance == 180)
        store.close()
    }

    @Test func onlyAStandingPairingOfThisPeersOwnTokenGrantsOffload() async throws {
        let store = try open()
        let (ledger, peer) = (OffloadLedger(store: store), Self.peer())
        let refused = { (text: String) async throws -> Void in
            _ = await #expect { try await accept(Self.record(peer), ledger) } throws: {
                ($0 as? OperationFailure)?.code == .refused && "\($0)".contains(text)
            }
        }
        try await refused("holds no token")
        // That this peer may offload there gives the other nothing here.
        try await Self.pairing(peer, store, role: .redeemer)
        try await refused("holds no token")
        try await Self.pairing(peer, store, capabilities: [.handoff], name: "q")
        try await refused("does not grant offload")
        try await Self.pairing(peer, store, expiresAt: Date(timeIntervalSinceNow: -1), name: "q")
        try await refused("Expired")
        try await Self.pairing(peer, store, budget: 0, name: "q")
        try await refused("token budget of 0 is spent")
        try await Self.pairing(peer, store, name: "q")
        #expect(try await accept(Self.record(peer), ledger).pairing == "q")
        store.close()
    }

    @Test func aRecordIsSealedAndOutlivesTheProcess() async throws {
        let peer = Self.peer()
        let id = FrameID.make()
        do {
            let store = try open()
            try await Self.pairing(peer, store)
            _ = try await accept(Self.record(peer, id), OffloadLedger(store: store))
            store.close()
        }
        for file in ["node.db", "node.db-wal"] {
            let bytes = FileManager.default.contents(atPath: folder.file(file)) ?? Data()
            #expect(bytes.range(of: Data("a secret task".utf8)) == nil)
        }
        let store = try open()
        let ledger = OffloadLedger(store: store)
        let record = try #require(try await ledger.all(.served).first)
        #expect(record.task == "a secret task" && record.id == id)
        // Held over a start; and a row that was moved to another place opens nowhere.
        await #expect(throws: OperationFailure.self) { try await accept(Self.record(peer), ledger) }
        try await store.database.write { try $0.execute("UPDATE offload SET id = 'other-id-other'") }
        #expect(try await ledger.all(.served).isEmpty)
        store.close()
    }

    @Test func idsThatCouldBeAPathOrNoSandboxAreNone() {
        for id in [
            "", "abcdefg", "abcdefg-", "a-cdefgh", "../abcdefgh", "abcdefgh/..", "ABCDEFGH", "abcdefgh ", "abcdefgé",
        ] {
            #expect(!OffloadRecord.isID(id), "\(id)")
        }
        for id in ["abcdefgh", "12345678-", FrameID.make()] { #expect(OffloadRecord.isID(id), "\(id)") }
    }
}
