import Dispatch
import MeshIdentity
import MeshNode
import Synchronization
import TestSupport
import Testing

@testable import Handoff

@Suite(.timeLimit(.minutes(1))) struct TurnstileTests {
    private let local = AgentRoute.local(socket: "/s")

    /// Runs tasks one after the other in the order they become able to run, so that order can be seen.
    private final class OneByOne: TaskExecutor {
        private let queue = DispatchQueue(label: "one by one")

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }

    private final class Inside: Sendable {
        let count = Mutex(0)
    }

    private final class Order: Sendable {
        let numbers = Mutex<[Int]>([])
    }

    @Test func heldRequestsGoOnInOrder() async throws {
        let turnstile = Turnstile(route: local, limits: GateLimits())
        #expect(await turnstile.hold())
        let order = Order()
        let executor = OneByOne()
        var tasks: [Task<Void, any Error>] = []
        for number in 0..<100 {
            tasks.append(
                Task(executorPreference: executor) {
                    let passage = try await turnstile.enter(bytes: 1)
                    order.numbers.withLock { $0.append(number) }
                    withExtendedLifetime(passage) {}
                })
            try await waitUntil("it is held") { turnstile.heldCount == number + 1 }
        }
        turnstile.release(to: local)
        for task in tasks { try await task.value }
        #expect(order.numbers.withLock { $0 } == Array(0..<100))
        #expect(await turnstile.hold())
    }

    @Test func holdingNeverOverlapsARequest() async throws {
        let turnstile = Turnstile(route: local, limits: GateLimits())
        let inside = Inside()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<200 {
                        let passage = try await turnstile.enter(bytes: 10)
                        inside.count.withLock { $0 += 1 }
                        await Task.yield()
                        inside.count.withLock { $0 -= 1 }
                        withExtendedLifetime(passage) {}
                    }
                }
            }
            group.addTask {
                for _ in 0..<100 {
                    #expect(await turnstile.hold())
                    #expect(inside.count.withLock { $0 } == 0)
                    await Task.yield()
                    #expect(inside.count.withLock { $0 } == 0)
                    turnstile.release(to: local)
                    await Task.yield()
                }
            }
            try await group.waitForAll()
        }
        #expect(turnstile.heldCount == 0)
        #expect(await turnstile.hold())
    }

    @Test func aReleaseEndsAHoldThatStillWaits() async throws {
        let turnstile = Turnstile(route: local, limits: GateLimits())
        let passage = try await turnstile.enter(bytes: 0)
        let hold = Task { await turnstile.hold() }
        try await waitUntil("it holds") { turnstile.route == .held }
        #expect(await !turnstile.hold(), "one hold at a time")
        turnstile.release(to: local)
        #expect(await !hold.value)
        withExtendedLifetime(passage) {}
    }

    @Test func aCancelledRequestLeavesItsPlace() async throws {
        let turnstile = Turnstile(route: local, limits: GateLimits())
        #expect(await turnstile.hold())
        for _ in 0..<200 {
            let task = Task { try await turnstile.enter(bytes: 1 << 20) }
            if Bool.random() { await Task.yield() }
            task.cancel()
            await #expect(throws: Turnstile.Refusal.cancelled) { _ = try await task.value }
        }
        #expect(turnstile.heldCount == 0)
    }
}
