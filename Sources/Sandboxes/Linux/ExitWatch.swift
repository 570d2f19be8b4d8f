import Dispatch
import Glibc
import Synchronization

/// Tells when a process has ended, a child of ours or not.
final class ExitWatch: Sendable {
    private struct State {
        var hasEnded = false
        var waiting: [UInt64: CheckedContinuation<Bool, Never>] = [:]
        var next: UInt64 = 0
    }

    private let state = Mutex(State())
    private let process: Int32
    private static let queue = DispatchQueue(label: "kars.sandboxes.exits")
    /// Safe: set once in `init`; of its methods only `cancel()` is called later, which any thread may.
    private nonisolated(unsafe) let source: any DispatchSourceRead

    /// - Parameter startTime: tells the process from a later one with its number.
    /// - Returns: nil when the process is gone.
    init?(pid: pid_t, startTime: UInt64) {
        guard let descriptor = LinuxCalls.openProcess(pid) else { return nil }
        guard let status = ProcessTable.status(of: pid), status.startTime == startTime, status.state != "Z" else {
            close(descriptor)
            return nil
        }
        process = descriptor
        source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: Self.queue)
        source.setEventHandler { [weak self] in self?.ended() }
        source.setCancelHandler { close(descriptor) }
        source.activate()
    }

    deinit { source.cancel() }

    var hasEnded: Bool { state.withLock { $0.hasEnded } }

    /// Nothing when it has ended. Under the lock, because the descriptor is closed after the end.
    func signal(_ number: Int32) {
        state.withLock { state in
            if !state.hasEnded { LinuxCalls.signal(process, number) }
        }
    }

    /// Whether the process ended in time; no limit when nil.
    func wait(within limit: Duration? = nil) async -> Bool {
        await withCheckedContinuation { continuation in
            let number: UInt64? = state.withLock { state in
                guard !state.hasEnded else { return nil }
                state.next += 1
                state.waiting[state.next] = continuation
                return state.next
            }
            guard let number else { return continuation.resume(returning: true) }
            guard let limit else { return }
            let (seconds, attoseconds) = limit.components
            let milliseconds = Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
            Self.queue.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) {
                self.state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(returning: false)
            }
        }
    }

    private func ended() {
        let waiting = state.withLock { state in
            state.hasEnded = true
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        source.cancel()
        for continuation in waiting { continuation.resume(returning: true) }
    }
}
