import Dispatch
import Glibc
import Synchronization

/// A thread that runs queued jobs in batches. It exists because SQLite blocks, and neither a loop thread
/// nor Swift's cooperative pool may.
final class WorkThread<Job: Sendable>: Sendable {
    /// What the thread and its callers share.
    private final class Queue: Sendable {
        struct State {
            var jobs: [Job] = []
            var isStopped = false
        }

        let state = Mutex(State())
        /// Signalled when the first job arrives and at the stop.
        let isNeeded = DispatchSemaphore(value: 0)
        let isFinished = DispatchSemaphore(value: 0)
        /// The thread, once it runs; 0 before.
        let thread = Atomic<UInt>(0)

        /// Waits for jobs; nil after the last ones when stopped.
        func next() -> [Job]? {
            while true {
                let (jobs, isStopped) = state.withLock { state in
                    defer { state.jobs = [] }
                    return (state.jobs, state.isStopped)
                }
                if !jobs.isEmpty { return jobs }
                if isStopped { return nil }
                isNeeded.wait()
            }
        }
    }

    private let queue = Queue()

    /// Starts the thread. `run` is called with all jobs queued since its last return, never with none, and
    /// `stopped` once after the last batch.
    init(
        run: @escaping @Sendable ([Job]) -> Void,
        stopped: @escaping @Sendable () -> Void
    ) {
        let queue = self.queue
        startThread {
            queue.thread.store(UInt(pthread_self()), ordering: .relaxed)
            while let jobs = queue.next() { run(jobs) }
            stopped()
            queue.isFinished.signal()
        }
    }

    /// Queues a job; false after ``stop()``.
    func submit(_ job: Job) -> Bool {
        let (isFirst, isStopped) = queue.state.withLock { state in
            guard !state.isStopped else { return (false, true) }
            state.jobs.append(job)
            return (state.jobs.count == 1, false)
        }
        if isFirst { queue.isNeeded.signal() }
        return !isStopped
    }

    /// Runs what is queued, then ends the thread and returns. Idempotent.
    func stop() {
        queue.state.withLock { $0.isStopped = true }
        queue.isNeeded.signal()
        // The last reference may go away in a completion, on the thread itself, which cannot wait for its end.
        guard queue.thread.load(ordering: .relaxed) != UInt(pthread_self()) else { return }
        queue.isFinished.wait()
        queue.isFinished.signal()  // so that a second call returns too
    }
}

/// Runs a closure on a thread of its own, with a stack of 1 MiB.
private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 1 << 20)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Body(body)).toOpaque()
    let status = pthread_create(&thread, &attributes, { argument in
        Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
    }, argument)
    precondition(status == 0, "the system gives no thread: \(systemReason(status))")
}
