import Synchronization

/// Names that are to be looked at, each at most once at a time: asked for again while it is looked at, it is looked at once
/// more after; asked for with a delay, no earlier. So any number of events costs at most one more look.
final class ReconcileQueue: Sendable {
    private struct State {
        var due: [String: ContinuousClock.Instant] = [:]
        var running: Set<String> = []
        var failures: [String: Int] = [:]
        var waiters: [CheckedContinuation<Void, Never>] = []
        var isClosed = false
    }

    /// The pause after a first failure, and the longest.
    private static let firstPause = Duration.milliseconds(500)
    private static let longestPause = Duration.seconds(60)

    private let state = Mutex(State())
    /// How often somebody looked for a name; for a test that nobody spins.
    let looks = Mutex(0)

    func add(_ name: String, after delay: Duration = .zero) {
        let time = ContinuousClock.now + delay
        // The earlier of two times counts.
        state.withLock { $0.due[name] = min($0.due[name] ?? time, time) }
        wake()
    }

    /// The look has ended; the next one that was asked for may begin.
    ///
    /// - Parameter again: when to look again in any case; nil leaves it to events.
    func finish(_ name: String, hasFailed: Bool, again: Duration?) {
        let pause = state.withLock { state -> Duration? in
            state.running.remove(name)
            guard hasFailed else {
                state.failures[name] = nil
                return again
            }
            let failures = state.failures[name, default: 0]
            state.failures[name] = failures + 1
            return min(Self.firstPause * (1 << min(failures, 7)), Self.longestPause)
        }
        if let pause { add(name, after: pause * Double.random(in: 0.9...1.1)) } else { wake() }
    }

    /// Nothing is due, now or later, and nothing is looked at.
    var isIdle: Bool { state.withLock { $0.due.isEmpty && $0.running.isEmpty } }

    func close() {
        state.withLock { $0.isClosed = true }
        wake()
    }

    /// The next name that is due; waits for one. Nil once it is closed.
    func next() async -> String? {
        while true {
            enum Step { case take(String), wait(Duration), end }
            looks.withLock { $0 += 1 }
            let step = state.withLock { state -> Step in
                if state.isClosed { return .end }
                let now = ContinuousClock.now
                let candidates = state.due.filter { !state.running.contains($0.key) }
                guard let first = candidates.min(by: { $0.value < $1.value }) else { return .wait(.seconds(3600)) }
                guard first.value <= now else { return .wait(first.value - now) }
                state.due[first.key] = nil
                state.running.insert(first.key)
                return .take(first.key)
            }
            switch step {
            case .end: return nil
            case .take(let name): return name
            case .wait(let time): await pause(time)
            }
        }
    }

    /// Until something is added, at most for this long.
    private func pause(_ time: Duration) async {
        let timer = Task {
            // One that was cancelled wakes nobody: they would wake each other for ever.
            guard (try? await Task.sleep(for: time)) != nil else { return }
            self.wake()
        }
        defer { timer.cancel() }
        await withCheckedContinuation { continuation in
            let isLate = state.withLock { state in
                let isDue = state.due.contains { !state.running.contains($0.key) && $0.value <= .now }
                guard !isDue, !state.isClosed else { return true }
                state.waiters.append(continuation)
                return false
            }
            if isLate { continuation.resume() }
        }
    }

    /// All who wait look again; they are few.
    private func wake() {
        let waiters = state.withLock { state in
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
