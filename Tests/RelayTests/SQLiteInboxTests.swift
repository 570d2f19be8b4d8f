import Observability
import Synchronization
import TestSupport
import Testing

@testable import Relay

extension InboxStore {
    func store(
        _ message: InboxMessage, isSent: Bool = false, completion: @escaping @Sendable (StoreOutcome) -> Void
    ) {
        let key = keys.key(recipient: message.recipient, sender: message.sender, id: message.id)
        store(message, key: key, isSent: isSent, completion: completion)
    }
    func store(_ message: InboxMessage) async -> StoreOutcome {
        await withCheckedContinuation { continuation in store(message) { continuation.resume(returning: $0) } }
    }
    func acknowledge(id: String, recipient: MeshAddress) async -> FreedMessage? {
        await withCheckedContinuation { continuation in
            acknowledge(id: id, recipient: recipient) { continuation.resume(returning: $0) }
        }
    }
    func readPending(
        for recipient: MeshAddress, after sequence: Int64 = 0, now: Int64 = 0,
        limit: InboxUsage = InboxUsage(messages: 1000, bytes: 1 << 20)
    ) async -> PendingMessages? {
        await withCheckedContinuation { continuation in
            readPending(for: recipient, after: sequence, now: now, limit: limit) {
                continuation.resume(returning: $0)
            }
        }
    }
    func expire(now: Int64) async -> ExpiredMessages {
        await withCheckedContinuation { continuation in expire(now: now) { continuation.resume(returning: $0) } }
    }
}

struct SQLiteInboxTests {
    let folder = TemporaryFolder()
    let alice = MeshAddress(bytes: Array(repeating: 1, count: 16))!
    let bob = MeshAddress(bytes: Array(repeating: 2, count: 16))!
    let carol = MeshAddress(bytes: Array(repeating: 3, count: 16))!

    var lane: InboxLane { InboxLane(recipient: bob, sender: alice) }

    func open() throws -> SQLiteInbox {
        try SQLiteInbox(path: folder.file("inbox.db"), recentIDs: 100, logger: .silent)
    }

    func message(
        _ sequence: Int64, id: String? = nil, from sender: MeshAddress? = nil, to recipient: MeshAddress? = nil,
        expires: Int64 = 1_000, size: Int = 10
    ) -> InboxMessage {
        InboxMessage(
            sequence: sequence, recipient: recipient ?? bob, sender: sender ?? alice, id: id ?? "m\(sequence)",
            expires: expires, frame: Array(repeating: UInt8(sequence % 256), count: size))
    }

    @Test func whatIsStoredIsPendingInOrder() async throws {
        let inbox = try open()
        defer { inbox.close() }
        for sequence in 1...20 { #expect(await inbox.store(message(Int64(sequence))) == .stored) }
        let page = await inbox.readPending(for: bob)
        #expect(page == PendingMessages(messages: (1...20).map { message($0) }, isComplete: true))
        #expect(await inbox.readPending(for: carol) == PendingMessages())
    }

    @Test func everythingIsThereAfterReopening() async throws {
        let first = try open()
        for sequence in 1...5 { _ = await first.store(message(Int64(sequence), size: 100)) }
        _ = await first.acknowledge(id: "m2", recipient: bob)
        first.close()
        let second = try open()
        defer { second.close() }
        #expect(
            second.contents.usage
                == [InboxLane(recipient: bob, sender: alice): InboxUsage(messages: 4, bytes: 400)])
        #expect(second.contents.lastSequence == 5)
        let newestFirst = ["m5", "m4", "m3", "m2", "m1"].map { second.keys.key(recipient: bob, sender: alice, id: $0) }
        #expect(second.contents.recentKeys == newestFirst)
        #expect(await second.readPending(for: bob)?.messages.map(\.id) == ["m1", "m3", "m4", "m5"])
    }

    @Test func anAckDeletesOnlyFromTheOwnInbox() async throws {
        let inbox = try open()
        defer { inbox.close() }
        _ = await inbox.store(message(1, id: "same", to: bob))
        _ = await inbox.store(message(2, id: "same", to: carol))
        #expect(await inbox.acknowledge(id: "same", recipient: alice) == nil)
        #expect(await inbox.acknowledge(id: "same", recipient: carol) == FreedMessage(sender: alice, bytes: 10))
        #expect(await inbox.acknowledge(id: "same", recipient: carol) == nil)
        #expect(await inbox.readPending(for: bob)?.messages.count == 1)
        #expect(await inbox.readPending(for: carol)?.messages.isEmpty == true)
    }

    @Test func anAckQueuedBehindItsMessageDeletesIt() async throws {
        let inbox = try open()
        defer { inbox.close() }
        let outcome = Mutex<StoreOutcome?>(nil)
        inbox.store(message(1)) { result in outcome.withLock { $0 = result } }
        #expect(await inbox.acknowledge(id: "m1", recipient: bob) == FreedMessage(sender: alice, bytes: 10))
        #expect(outcome.withLock { $0 } == .stored)
        #expect(await inbox.readPending(for: bob)?.messages.isEmpty == true)
    }

    @Test func acksThatMeetTheirMessagesOnTheWayToTheDiskLeaveTheRest() async throws {
        let inbox = try open()
        var random = SeededRandom(seed: 7)
        var expected: [String] = []
        let freed = Mutex(0)
        for sequence in 1...3_000 {
            inbox.store(message(Int64(sequence), to: sequence % 3 == 0 ? carol : bob)) { _ in }
            let recipient = sequence % 3 == 0 ? carol : bob
            if Int.random(in: 0..<4, using: &random) > 0 {
                inbox.acknowledge(id: "m\(sequence)", recipient: recipient) { message in
                    if message == FreedMessage(sender: alice, bytes: 10) { freed.withLock { $0 += 1 } }
                }
            } else if recipient == bob {
                expected.append("m\(sequence)")
            }
            // Reading in between must see what is there.
            if sequence % 500 == 0 {
                let page = await inbox.readPending(for: bob, limit: InboxUsage(messages: 5_000, bytes: 1 << 20))
                #expect(page?.messages.map(\.id) == expected)
            }
        }
        await inbox.flush()
        let left = await inbox.readPending(for: carol, limit: InboxUsage(messages: 5_000, bytes: 1 << 20))
        #expect(freed.withLock { $0 } == 3_000 - expected.count - (left?.messages.count ?? 0))
        // A repetition is known although its frame was never written.
        #expect(await inbox.store(message(9_000, id: "m1")) == .duplicate)
        inbox.close()
        let again = try open()
        defer { again.close() }
        #expect(again.contents.usage[lane]?.messages == expected.count)
    }

    @Test func anAckBesideARepetitionDeletesWhatIsInTheInbox() async throws {
        let inbox = try open()
        defer { inbox.close() }
        #expect(await inbox.store(message(1, id: "x", size: 20)) == .stored)
        inbox.store(message(2, id: "x")) { #expect($0 == .duplicate) }
        #expect(await inbox.acknowledge(id: "x", recipient: bob) == FreedMessage(sender: alice, bytes: 20))
        #expect(await inbox.readPending(for: bob)?.messages.isEmpty == true)
    }

    @Test func anInboxMovesBehindWhatTheOtherHolds() async throws {
        let inbox = try open()
        defer { inbox.close() }
        for sequence in 1...3 { _ = await inbox.store(message(Int64(sequence))) }
        _ = await inbox.store(message(4, to: carol))
        _ = await inbox.store(message(5, id: "m2", to: carol))
        _ = await inbox.acknowledge(id: "m3", recipient: bob)
        let moved = await withCheckedContinuation { continuation in
            inbox.move(from: bob, to: carol, sequence: 10) { continuation.resume(returning: $0) }
        }
        // The second is in the other's inbox already; the third was acked.
        #expect(moved?.entries.map(\.id) == ["m1", "m2"])
        #expect(moved?.entries.map(\.isKept) == [true, false])
        #expect(await inbox.readPending(for: bob)?.messages.isEmpty == true)
        let page = await inbox.readPending(for: carol)
        #expect(page?.messages.map(\.id) == ["m4", "m2", "m1"])
        #expect(page?.messages.map(\.sequence) == [4, 5, 10])
        #expect(await inbox.store(message(20, id: "m1", to: carol)) == .duplicate)
        #expect(await inbox.acknowledge(id: "m1", recipient: carol) == FreedMessage(sender: alice, bytes: 10))
    }

    @Test func anIDIsStoredOnceAlsoAfterItsAckAndAfterReopening() async throws {
        let first = try open()
        #expect(await first.store(message(1, id: "x")) == .stored)
        #expect(await first.store(message(2, id: "x")) == .duplicate)
        _ = await first.acknowledge(id: "x", recipient: bob)
        #expect(await first.store(message(3, id: "x")) == .duplicate)
        first.close()
        let second = try open()
        defer { second.close() }
        #expect(await second.store(message(4, id: "x")) == .duplicate)
        #expect(await second.readPending(for: bob)?.messages.isEmpty == true)
    }

    @Test func anotherSenderMayUseTheSameID() async throws {
        let inbox = try open()
        defer { inbox.close() }
        #expect(await inbox.store(message(1, id: "x", from: alice)) == .stored)
        #expect(await inbox.store(message(2, id: "x", from: carol)) == .stored)
        #expect(await inbox.readPending(for: bob)?.messages.map(\.sender) == [alice, carol])
    }

    @Test func pagesKeepBothBoundsAndGoOnBehindTheLast() async throws {
        let inbox = try open()
        defer { inbox.close() }
        for sequence in 1...10 { _ = await inbox.store(message(Int64(sequence), size: 100)) }
        let byCount = await inbox.readPending(for: bob, limit: InboxUsage(messages: 3, bytes: 10_000))
        #expect(byCount?.messages.map(\.sequence) == [1, 2, 3])
        #expect(byCount?.isComplete == false)
        let bySize = await inbox.readPending(for: bob, after: 3, limit: InboxUsage(messages: 99, bytes: 250))
        #expect(bySize?.messages.map(\.sequence) == [4, 5])
        let tooLarge = await inbox.readPending(for: bob, after: 5, limit: InboxUsage(messages: 99, bytes: 1))
        #expect(tooLarge?.messages.map(\.sequence) == [6])
        let last = await inbox.readPending(for: bob, after: 6, limit: InboxUsage(messages: 4, bytes: 10_000))
        #expect(last?.messages.map(\.sequence) == [7, 8, 9, 10])
        #expect(last?.isComplete == true)
    }

    @Test func whatExpiredIsNeitherPendingNorRemembered() async throws {
        let inbox = try open()
        defer { inbox.close() }
        _ = await inbox.store(message(1, expires: 100))
        _ = await inbox.store(message(2, expires: 200))
        #expect(await inbox.readPending(for: bob, now: 100)?.messages.map(\.sequence) == [2])
        #expect(await inbox.expire(now: 99) == ExpiredMessages())
        #expect(await inbox.expire(now: 100).freed == [lane: InboxUsage(messages: 1, bytes: 10)])
        #expect(await inbox.store(message(3, id: "m1", expires: 300)) == .stored)
        #expect(await inbox.store(message(4, id: "m2", expires: 300)) == .duplicate)
    }

    @Test func anAckedMessageFreesNothingWhenItsIDExpires() async throws {
        let inbox = try open()
        defer { inbox.close() }
        _ = await inbox.store(message(1, expires: 100))
        _ = await inbox.acknowledge(id: "m1", recipient: bob)
        #expect(await inbox.expire(now: 100) == ExpiredMessages())
        #expect(await inbox.store(message(2, id: "m1", expires: 300)) == .stored)
    }

    @Test func expiryGoesInBatches() async throws {
        let inbox = try open()
        defer { inbox.close() }
        for sequence in 1...(InboxSQL.expiryBatch + 1) { inbox.store(message(Int64(sequence), expires: 100)) { _ in } }
        let first = await inbox.expire(now: 100)
        #expect(first.hasMore)
        #expect(first.freed[lane]?.messages == InboxSQL.expiryBatch)
        let second = await inbox.expire(now: 100)
        #expect(!second.hasMore)
        #expect(second.freed[lane]?.messages == 1)
    }

    @Test func aFlushReturnsBehindEverythingQueued() async throws {
        let inbox = try open()
        defer { inbox.close() }
        let stored = Mutex(0)
        // More than one change takes.
        for sequence in 1...6_000 { inbox.store(message(Int64(sequence))) { _ in stored.withLock { $0 += 1 } } }
        await inbox.flush()
        #expect(stored.withLock { $0 } == 6_000)
        #expect(inbox.queuedBytes == 0)
    }

    @Test func closingFinishesWhatIsQueued() async throws {
        let inbox = try open()
        let stored = Mutex(0)
        for sequence in 1...6_000 { inbox.store(message(Int64(sequence))) { _ in stored.withLock { $0 += 1 } } }
        inbox.close()
        #expect(stored.withLock { $0 } == 6_000)
        let again = try open()
        defer { again.close() }
        #expect(again.contents.usage[lane]?.messages == 6_000)
    }

    @Test func aClosedInboxTakesNothing() async throws {
        let inbox = try open()
        inbox.close()
        inbox.store(message(1)) { _ in Issue.record("completed") }
        await inbox.flush()
        let again = try open()
        defer { again.close() }
        #expect(again.contents.usage.isEmpty)
    }
}
