import TestSupport
import Testing

@testable import Controller

struct ReconcileQueueTests {
    @Test func manyEventsAreOneLookAndOneMoreForThoseThatCameMeanwhile() async {
        let queue = ReconcileQueue()
        for _ in 1...100 { queue.add("a") }
        #expect(await queue.next() == "a")
        // While it is looked at nobody else looks at it.
        for _ in 1...100 { queue.add("a") }
        queue.add("b")
        #expect(await queue.next() == "b")
        queue.finish("a", hasFailed: false, again: nil)
        #expect(await queue.next() == "a")
        queue.finish("a", hasFailed: false, again: nil)
        queue.finish("b", hasFailed: false, again: nil)
        queue.close()
        #expect(await queue.next() == nil)
    }

    @Test func aFailedLookIsRepeatedAndALaterTimeDoesNotDelayAnEarlierOne() async {
        let queue = ReconcileQueue()
        queue.add("a", after: .seconds(3600))
        queue.add("a")
        queue.add("a", after: .seconds(3600))
        #expect(await queue.next() == "a")
        queue.finish("a", hasFailed: true, again: nil)
        #expect(await queue.next() == "a")
        queue.close()
    }

    @Test func whoWaitsIsWokenByWhatIsAddedAndByTheEnd() async {
        let queue = ReconcileQueue()
        let workers = (0..<4).map { _ in
            Task {
                var taken: [String] = []
                while let name = await queue.next() {
                    taken.append(name)
                    queue.finish(name, hasFailed: false, again: nil)
                    if name == "last" { queue.close() }
                }
                return taken
            }
        }
        for number in 1...500 { queue.add("s\(number)") }
        queue.add("last", after: .milliseconds(200))
        var taken: [String] = []
        for worker in workers { taken += await worker.value }
        #expect(Set(taken).count == 501)
    }

    @Test func thoseWhoWaitDoNotWakeEachOther() async {
        let queue = ReconcileQueue()
        let workers = (0..<4).map { _ in
            Task { while let name = await queue.next() { queue.finish(name, hasFailed: false, again: nil) } }
        }
        for number in 1...10 { queue.add("s\(number)", after: .milliseconds(10 * number)) }
        queue.add("last", after: .milliseconds(300))
        try? await waitUntil("all are taken") { queue.isIdle }
        queue.close()
        for worker in workers { await worker.value }
        // Eleven names, each of which may wake four, and their ends.
        #expect(queue.looks.withLock { $0 } < 200)
    }
}
