import Synchronization

/// The bytes of one answer between whoever produces them and the loop that sends them.
final class ResponseStream: Sendable {
    /// Bytes that wait before the producer is suspended.
    static let highWater = 256 << 10

    /// What the loop sends next.
    enum Next {
        case bytes([UInt8])
        /// Nothing yet.
        case wait
        /// Everything was sent.
        case end
        /// The producer failed.
        case failed
    }

    private enum End { case finished, failed, closed }

    private struct State {
        var pieces: [[UInt8]] = []
        var bytes = 0
        var end: End?
        var isLoopWaiting = false
        var producers: [CheckedContinuation<Bool, Never>] = []
    }

    private let state = Mutex(State())
    private let wakeLoop: @Sendable () -> Void

    init(wakeLoop: @escaping @Sendable () -> Void) { self.wakeLoop = wakeLoop }

    /// Adds bytes; suspends above the high-water mark.
    func write(_ bytes: [UInt8]) async throws(TransportError) {
        enum Outcome { case closed, goesOn(wakes: Bool), full(wakes: Bool) }
        let outcome = state.withLock { state -> Outcome in
            guard state.end == nil else { return .closed }
            state.pieces.append(bytes)
            state.bytes += bytes.count
            let wakes = state.isLoopWaiting
            state.isLoopWaiting = false
            return state.bytes >= Self.highWater ? .full(wakes: wakes) : .goesOn(wakes: wakes)
        }
        switch outcome {
        case .closed: throw .closed
        case .goesOn(let wakes):
            if wakes { wakeLoop() }
        case .full(let wakes):
            if wakes { wakeLoop() }
            guard await hasRoom() else { throw .closed }
        }
    }

    /// Everything is written, or with `failed` the rest will never come.
    func finish(failed: Bool) {
        let wakes = state.withLock { state in
            guard state.end == nil else { return false }
            state.end = failed ? .failed : .finished
            defer { state.isLoopWaiting = false }
            return state.isLoopWaiting
        }
        if wakes { wakeLoop() }
    }

    /// The connection is gone: frees what waits.
    func close() {
        let producers = state.withLock { state in
            state.end = .closed
            state.pieces = []
            state.bytes = 0
            defer { state.producers = [] }
            return state.producers
        }
        for producer in producers { producer.resume(returning: false) }
    }

    /// Takes what waits, as one piece.
    func next() -> Next {
        let (next, producers) = state.withLock { state -> (Next, [CheckedContinuation<Bool, Never>]) in
            guard !state.pieces.isEmpty else {
                switch state.end {
                case nil:
                    state.isLoopWaiting = true
                    return (.wait, [])
                case .finished: return (.end, [])
                case .failed, .closed: return (.failed, [])
                }
            }
            var joined = state.pieces[0]
            joined.reserveCapacity(state.bytes)
            for piece in state.pieces.dropFirst() { joined += piece }
            state.pieces = []
            state.bytes = 0
            defer { state.producers = [] }
            return (.bytes(joined), state.producers)
        }
        for producer in producers { producer.resume(returning: true) }
        return next
    }

    private func hasRoom() async -> Bool {
        await withCheckedContinuation { continuation in
            let answer = state.withLock { state -> Bool? in
                if state.end == .closed { return false }
                if state.bytes < Self.highWater { return true }
                state.producers.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}
