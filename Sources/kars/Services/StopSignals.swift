import Dispatch
import Glibc
import Synchronization

/// SIGTERM and SIGINT as something to wait for: the first asks to drain, the second ends at once. While a service starts
/// there is nothing to drain, and the first ends it.
final class StopSignals: Sendable {
    private struct State {
        var isStarting: Bool
        var isAsked = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let state: Mutex<State>
    private let sources = Mutex<[any DispatchSourceSignal]>([])

    /// Takes the signals over from now on.
    ///
    /// - Parameter isStarting: something starts, until ``hasStarted()``; it can be cut off anywhere, as by a crash.
    init(isStarting: Bool = false) {
        state = Mutex(State(isStarting: isStarting))
        let queue = DispatchQueue(label: "kars.signals")
        sources.withLock { sources in
            for number in [SIGTERM, SIGINT] {
                let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
                source.setEventHandler { [weak self] in self?.receive() }
                source.activate()
                sources.append(source)
            }
        }
    }

    func hasStarted() { state.withLock { $0.isStarting = false } }

    /// Returns after the first signal; at once when it came already.
    func wait() async {
        await withCheckedContinuation { continuation in
            let isAsked = state.withLock { state in
                if !state.isAsked { state.waiting = continuation }
                return state.isAsked
            }
            if isAsked { continuation.resume() }
        }
    }

    private func receive() {
        let (isSecond, waiting) = state.withLock { state in
            if state.isStarting { _exit(0) }
            defer {
                state.isAsked = true
                state.waiting = nil
            }
            return (state.isAsked, state.waiting)
        }
        if isSecond { _exit(CommandRunner.failed) }
        waiting?.resume()
    }
}
