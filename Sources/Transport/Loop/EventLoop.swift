import CWebSockets
import Glibc
import Synchronization

/// One libwebsockets context on one thread.
///
/// Everything a connection does happens on its loop's thread. A loop lives until ``shutdown()``.
public final class EventLoop: Sendable {
    private enum Phase { case running, stopping, ended }

    private struct Inbox {
        var tasks: [@Sendable () -> Void] = []
        /// Whether the loop was woken for what `tasks` holds.
        var isSignalled = false
        var phase = Phase.running
        /// Set until one caller of ``shutdown()`` took it to join.
        var thread: pthread_t?
    }

    /// Shown by debuggers as the thread's name; 15 bytes of it.
    public let name: String
    /// Guards what other threads hand over; held for an append.
    private let inbox = Mutex(Inbox())
    private let threadIdentity = Atomic<UInt>(0)
    private let cancelledTimers = Atomic<Int>(0)
    let context: LoopContext

    /// Starts the thread.
    ///
    /// - Throws: ``TransportError/outOfResources(_:)`` without memory, threads or descriptors.
    public init(name: String) throws(TransportError) {
        self.name = name
        context = try LoopContext()
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let status = pthread_create(&thread, nil, runLoopThread, argument.toOpaque())
        guard status == 0 else {
            argument.release()
            context.destroy()
            throw .outOfResources("no thread for the event loop \(name)")
        }
        inbox.withLock { $0.thread = thread }
    }

    /// Runs a task on the loop, after those given before; from any thread.
    ///
    /// After ``shutdown()`` the task is dropped.
    public func execute(_ task: @escaping @Sendable () -> Void) {
        tryExecute(task)
    }

    /// As ``execute(_:)``; false when the loop has ended and the task was dropped.
    @discardableResult
    func tryExecute(_ task: @escaping @Sendable () -> Void) -> Bool {
        let (isTaken, isFirst) = inbox.withLock { inbox -> (Bool, Bool) in
            guard inbox.phase != .ended else { return (false, false) }
            inbox.tasks.append(task)
            defer { inbox.isSignalled = true }
            return (true, !inbox.isSignalled)
        }
        // The loop looks at its inbox before it sleeps; others must wake it. Not under the lock: the loop would wait
        // for it as soon as it wakes.
        if isFirst && !isOnLoop { context.wake() }
        return isTaken
    }

    /// Runs a task on the loop once `delay` has passed, in whole milliseconds rounded up; from any thread.
    @discardableResult
    public func schedule(after delay: Duration, _ task: @escaping @Sendable () -> Void) -> ScheduledTask {
        let scheduled = ScheduledTask(task) { [self] in
            cancelledTimers.wrappingAdd(1, ordering: .relaxed)
        }
        let deadline = ContinuousClock.now + delay
        if isOnLoop {
            context.timers.insert(scheduled, at: deadline)
        } else {
            execute { [self] in context.timers.insert(scheduled, at: deadline) }
        }
        return scheduled
    }

    /// Whether the caller runs on this loop's thread.
    public var isOnLoop: Bool {
        threadIdentity.load(ordering: .relaxed) == UInt(pthread_self())
    }

    /// Traps on any other thread.
    public func preconditionOnLoop() {
        precondition(isOnLoop, "only for the thread of the event loop \(name)")
    }

    /// Closes all connections, runs what was handed over, ends and joins the thread.
    ///
    /// Idempotent; a second caller returns without waiting. Never from the loop itself.
    public func shutdown() {
        precondition(!isOnLoop, "an event loop cannot wait for itself")
        let thread = inbox.withLock { inbox -> pthread_t? in
            guard let thread = inbox.thread.take() else { return nil }
            inbox.phase = .stopping
            return thread
        }
        guard let thread else { return }
        context.wake()
        pthread_join(thread, nil)
    }
}

// MARK: - On the loop's thread

/// The thread's body; takes over the reference its creator retained.
private func runLoopThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().run()
    return nil
}

extension EventLoop {
    fileprivate func run() {
        threadIdentity.store(UInt(pthread_self()), ordering: .relaxed)
        // Signals belong to the main thread.
        var signals = sigset_t()
        sigfillset(&signals)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        pthread_setname_np(pthread_self(), String(name.prefix(15)))

        while runDueWork() { context.service() }
        context.destroy()
        // Closing connections may hand over more; nothing may wait for it in vain.
        while let tasks = takeTasks(endingIfNone: true) {
            for task in tasks { task() }
        }
        // They hold this loop.
        context.timers = TimerHeap()
    }

    /// Timers, then tasks; false when the loop shall stop.
    private func runDueWork() -> Bool {
        runTimers()
        for task in takeTasks(endingIfNone: false) ?? [] { task() }
        context.armTimer()
        let (hasMore, isRunning) = inbox.withLock { inbox in
            if !inbox.tasks.isEmpty { inbox.isSignalled = true }
            return (!inbox.tasks.isEmpty, inbox.phase == .running)
        }
        // What tasks handed over is done after the sockets had their turn.
        if hasMore { context.wake() }
        return isRunning
    }

    private func runTimers() {
        guard context.timers.count > 0 else { return }
        let cancelled = cancelledTimers.load(ordering: .relaxed)
        if cancelled > 256, cancelled > context.timers.count / 2 {
            cancelledTimers.store(0, ordering: .relaxed)
            context.timers.compact()
        }
        let now = ContinuousClock.now
        while let task = context.timers.popDue(at: now) { task.run() }
    }

    private func takeTasks(endingIfNone: Bool) -> [@Sendable () -> Void]? {
        inbox.withLock { inbox in
            if inbox.tasks.isEmpty {
                if endingIfNone { inbox.phase = .ended }
                return nil
            }
            inbox.isSignalled = false
            var tasks: [@Sendable () -> Void] = []
            swap(&tasks, &inbox.tasks)
            return tasks
        }
    }
}
