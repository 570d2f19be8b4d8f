import Testing

@testable import Relay

struct TokenBucketTests {
    let start = ContinuousClock.now

    @Test func aBurstIsFreeAndTheRestWaits() {
        var bucket = TokenBucket(rate: 10, burst: 5, now: start)
        let waits = (0..<7).map { _ in bucket.use(1, now: start) }
        #expect(waits == Array(repeating: .zero, count: 5) + [.milliseconds(100), .milliseconds(200)])
    }

    @Test func waitingFillsItUpToTheBurst() {
        var bucket = TokenBucket(rate: 10, burst: 5, now: start)
        let waits = [(5.0, 0), (5, 100), (1, 100)].map { bucket.use($0.0, now: start + .seconds($0.1)) }
        #expect(waits == [.zero, .zero, .milliseconds(100)])
    }
}

struct DrainWindowTests {
    @Test func itIsFullAtEitherBoundAndReopensWithAcks() {
        var window = DrainWindow(maximum: InboxUsage(messages: 2, bytes: 100))
        window.push(id: "a", bytes: 10)
        #expect(window.room == InboxUsage(messages: 1, bytes: 90))
        window.push(id: "b", bytes: 10)
        #expect(window.room == nil)
        window.acknowledge(id: "a")
        window.push(id: "c", bytes: 95)
        #expect(window.room == nil)
        window.acknowledge(id: "unknown")
        #expect(window.room == nil)
        window.acknowledge(id: "c")
        #expect(window.room == InboxUsage(messages: 1, bytes: 90))
        window.forgetAll()
        #expect(window.room == InboxUsage(messages: 2, bytes: 100))
    }
}

struct RecentIDsTests {
    let first = MeshAddress(bytes: Array(repeating: 1, count: 16))!
    let second = MeshAddress(bytes: Array(repeating: 2, count: 16))!

    let keys = MessageKeys(secret: Array(repeating: 7, count: 16))

    @Test func anIDIsKnownPerSenderAndRecipient() {
        var ids = RecentIDs(capacity: 10)
        let known = [(first, second), (first, second), (second, first), (first, first)].map {
            ids.insert(keys.key(recipient: $0.0, sender: $0.1, id: "x"))
        }
        #expect(known == [false, true, false, false])
    }

    @Test func theNewestStayKnownAndTheOldestGo() {
        var ids = RecentIDs(capacity: 10)
        func key(_ number: Int) -> MessageKey { keys.key(recipient: first, sender: second, id: "\(number)") }
        for number in 0..<100 { _ = ids.insert(key(number)) }
        let newest = (90..<100).map { ids.insert(key($0)) }
        #expect(newest.allSatisfy { $0 })
        let oldest = ids.insert(key(0))
        #expect(!oldest)
    }
}
