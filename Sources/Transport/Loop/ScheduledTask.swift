import Synchronization

/// A piece of work an ``EventLoop`` does later, unless cancelled.
public final class ScheduledTask: Sendable {
    private let work: Mutex<(@Sendable () -> Void)?>
    private let onCancel: @Sendable () -> Void

    init(_ work: @escaping @Sendable () -> Void, onCancel: @escaping @Sendable () -> Void) {
        self.work = Mutex(work)
        self.onCancel = onCancel
    }

    /// Forgets the work if it has not begun; from any thread, any number of times.
    public func cancel() {
        if work.withLock({ $0.take() }) != nil { onCancel() }
    }

    var isCancelled: Bool { work.withLock { $0 == nil } }

    func run() {
        work.withLock { $0.take() }?()
    }
}
