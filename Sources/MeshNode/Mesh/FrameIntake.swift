import Synchronization

/// Frames between the relay's connection and their handling, in order.
///
/// When more than a bound waits, the relay is held back, so that nobody fills the memory of this peer.
final class FrameIntake: Sendable {
    private struct State {
        var bytes = 0
        var isHeldBack = false
    }

    let frames: AsyncStream<[UInt8]>
    private let feed: AsyncStream<[UInt8]>.Continuation
    private let state = Mutex(State())
    private let maximumBytes: Int
    private let setReading: @Sendable (Bool) -> Void

    /// - Parameter setReading: tells the connection to hold the relay back, or to go on.
    init(maximumBytes: Int, setReading: @escaping @Sendable (Bool) -> Void) {
        (frames, feed) = AsyncStream.makeStream()
        self.maximumBytes = maximumBytes
        self.setReading = setReading
    }

    func append(_ frame: [UInt8]) {
        let isFull = state.withLock { state in
            state.bytes += frame.count
            guard state.bytes > maximumBytes, !state.isHeldBack else { return false }
            state.isHeldBack = true
            return true
        }
        if isFull { setReading(false) }
        feed.yield(frame)
    }

    func didHandle(_ frame: [UInt8]) {
        let hasRoom = state.withLock { state in
            state.bytes -= frame.count
            guard state.isHeldBack, state.bytes <= maximumBytes / 2 else { return false }
            state.isHeldBack = false
            return true
        }
        if hasRoom { setReading(true) }
    }

    func finish() { feed.finish() }
}
