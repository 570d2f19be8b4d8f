import Foundation

/// A thread that runs queued jobs in batches. It exists because SQLite blocks, and neither a loop thread
/// nor Swift's cooperative pool may.
final class WorkThread<Job: Sendable>: Sendable {
    private struct State {
        var jobs: [Job] = []
        var isStopped = false
    }

    private let condition: ConditionBox
    private let finished = DispatchSemaphore(value: 0)

    /// Starts the thread. `run` is called with all jobs queued since its last return, never with none, and
    /// `stopped` once after the last batch.
    init(
        name: String, run: @escaping @Sendable ([Job]) -> Void,
        stopped: @escaping @Sendable () -> Void
    ) {
        let condition = ConditionBox()
        self.condition = condition
        let finished = self.finished
        let thread = Thread {
            while let jobs = condition.next() { run(jobs) }
            stopped()
            finished.signal()
        }
        thread.name = name
        thread.stackSize = 1 << 20
        thread.start()
    }

    /// Queues a job; false after ``stop()``.
    func submit(_ job: Job) -> Bool { condition.append(job) }

    /// Runs what is queued, then ends the thread and returns. Idempotent.
    func stop() {
        condition.stop()
        finished.wait()
        finished.signal()  // so that a second call returns too
    }

    /// `NSCondition` around the queue.
    ///
    /// `@unchecked Sendable`: every access to `state` is between `lock()` and `unlock()`.
    private final class ConditionBox: @unchecked Sendable {
        private let condition = NSCondition()
        private var state = State()

        func append(_ job: Job) -> Bool {
            condition.lock()
            defer { condition.unlock() }
            guard !state.isStopped else { return false }
            state.jobs.append(job)
            if state.jobs.count == 1 { condition.signal() }
            return true
        }

        func next() -> [Job]? {
            condition.lock()
            defer { condition.unlock() }
            while state.jobs.isEmpty && !state.isStopped { condition.wait() }
            guard !state.jobs.isEmpty else { return nil }
            defer { state.jobs.removeAll(keepingCapacity: true) }
            return state.jobs
        }

        func stop() {
            condition.lock()
            defer { condition.unlock() }
            state.isStopped = true
            condition.signal()
        }
    }
}
