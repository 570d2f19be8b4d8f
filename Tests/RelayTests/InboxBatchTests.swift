import Synchronization
import TestSupport
import Testing

@testable import Relay

/// Messages that were sent and whose acks meet them before they are written.
struct InboxBatchTests {
    let folder = TemporaryFolder()
    let alice = MeshAddress(bytes: Array(repeating: 1, count: 16))!
    let bob = MeshAddress(bytes: Array(repeating: 2, count: 16))!
    let carol = MeshAddress(bytes: Array(repeating: 3, count: 16))!
    let keys = MessageKeys(secret: Array(repeating: 9, count: 16))

    func open(ackDelay: Duration) throws -> SQLiteInbox {
        try SQLiteInbox(
            path: folder.file("inbox.db"), recentIDs: 100, commitDelay: .milliseconds(1), ackDelay: ackDelay,
            logger: .silent)
    }

    func message(_ sequence: Int, id: String? = nil, to recipient: MeshAddress? = nil) -> InboxMessage {
        InboxMessage(
            sequence: Int64(sequence), recipient: recipient ?? bob, sender: alice, id: id ?? "\(sequence)",
            expires: 1_000, frame: [1, 2, 3])
    }

    func store(_ sequence: Int, id: String? = nil, to recipient: MeshAddress? = nil, isSent: Bool) -> InboxOperation {
        let message = message(sequence, id: id, to: recipient)
        let key = keys.key(recipient: message.recipient, sender: alice, id: message.id)
        let tag = keys.tag(recipient: message.recipient, id: message.id)
        return .store(StoredMessage(message: message, key: key, tag: tag, isSent: isSent)) { _ in }
    }

    func ack(_ id: String, by recipient: MeshAddress? = nil) -> InboxOperation {
        .acknowledge(id, recipient ?? bob, tag: keys.tag(recipient: recipient ?? bob, id: id)) { _ in }
    }

    func names(_ operations: [InboxOperation]) -> [String] {
        operations.map { operation in
            switch operation {
            case .store(let stored, _): "\(stored.message.sequence)"
            case .acknowledge(let id, _, _, _): "ack \(id)"
            default: "other"
            }
        }
    }

    @Test func whatWasSentAndNotAckedIsTakenOutAndPairsStayPairs() {
        var batch = InboxBatch([
            store(1, isSent: true), store(2, isSent: true), store(3, to: carol, isSent: false), ack("0"), ack("2"),
            store(4, isSent: true), store(5, to: carol, isSent: true), ack("4"),
        ])
        #expect((0..<8).map { batch.ack(of: $0) } == [nil, 4, nil, nil, nil, 7, nil, nil])
        // The fifth goes to the inbox that the third, not sent, is stored in.
        #expect(names(batch.removeUnacked()) == ["1"])
        #expect(names(batch.operations) == ["2", "3", "ack 0", "ack 2", "4", "5", "ack 4"])
        #expect((0..<7).map { batch.ack(of: $0) } == [3, nil, nil, nil, 6, nil, nil])
        #expect(batch.removeUnacked().isEmpty)
    }

    @Test func aRepetitionKeepsItsFirstFromWaiting() {
        var batch = InboxBatch([store(1, id: "x", isSent: true), store(2, id: "x", isSent: false)])
        #expect(batch.removeUnacked().isEmpty)
        #expect(names(batch.operations) == ["1", "2"])
    }

    @Test func messagesThatWaitForAcksAreStoredWhenNoneComes() async throws {
        let inbox = try open(ackDelay: .milliseconds(5))
        defer { inbox.close() }
        let stored = Mutex(0)
        for number in 1...500 {
            inbox.store(message(number), isSent: true) { outcome in
                if outcome == .stored { stored.withLock { $0 += 1 } }
            }
        }
        try await waitUntil("500 stored") { stored.withLock { $0 } == 500 }
        let page = await inbox.readPending(for: bob)
        #expect(page?.messages.map(\.sequence) == (1...500).map(Int64.init))
    }

    @Test func theEndWritesWhatWaitsForAcks() async throws {
        let inbox = try open(ackDelay: .seconds(600))
        let stored = Mutex(0)
        for number in 1...500 {
            inbox.store(message(number), isSent: true) { outcome in
                if outcome == .stored { stored.withLock { $0 += 1 } }
            }
        }
        inbox.close()
        #expect(stored.withLock { $0 } == 500)
        let again = try open(ackDelay: .seconds(600))
        defer { again.close() }
        #expect(again.contents.usage.values.first?.messages == 500)
    }

    @Test func waitingChangesNoOutcome() async throws {
        let inbox = try open(ackDelay: .seconds(600))
        var random = SeededRandom(seed: 31)
        var seen: Set<String> = []
        var pending: [String] = []
        var expected: [String: String] = [:]
        let outcomes = Mutex<[String: String]>([:])
        for number in 1...6_000 {
            let id = "\(Int.random(in: 0..<4_000, using: &random))"
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<11:
                // As a repetition the relay would not send it.
                let isNew = seen.insert(id).inserted
                expected["\(number)"] = isNew ? "stored" : "duplicate"
                if isNew { pending.append(id) }
                inbox.store(message(number, id: id), isSent: isNew && Bool.random(using: &random)) { outcome in
                    outcomes.withLock { $0["\(number)"] = "\(outcome)" }
                }
            case 11..<19:
                let id = pending.randomElement(using: &random) ?? id
                let isThere = pending.contains(id)
                pending.removeAll { $0 == id }
                expected["\(number)"] = "\(isThere)"
                inbox.acknowledge(id: id, recipient: bob) { [alice] freed in
                    outcomes.withLock { $0["\(number)"] = "\(freed == FreedMessage(sender: alice, bytes: 3))" }
                }
            default:
                guard Int.random(in: 0..<10, using: &random) == 0 else { continue }
                let page = await inbox.readPending(for: bob, limit: InboxUsage(messages: 9_000, bytes: 1 << 20))
                #expect(page?.messages.map(\.id) == pending)
            }
        }
        await inbox.flush()
        #expect(outcomes.withLock { $0 } == expected)
        inbox.close()
        let again = try open(ackDelay: .zero)
        defer { again.close() }
        let page = await again.readPending(for: bob, limit: InboxUsage(messages: 9_000, bytes: 1 << 20))
        #expect(page?.messages.map(\.id) == pending)
    }
}
