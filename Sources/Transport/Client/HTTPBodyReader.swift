import Synchronization

/// The body of an answer as it arrives, for one reader.
///
/// The peer is held back while nobody reads. Cancelling the reader or dropping it closes the connection.
public struct HTTPBodyReader: AsyncSequence, Sendable {
    public typealias Element = [UInt8]
    public typealias Failure = TransportError

    let pipe: BodyPipe

    /// Hands out pieces in order; ends with nil, or an error when the body was cut.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let pipe: BodyPipe

        public mutating func next() async throws(TransportError) -> [UInt8]? {
            try await pipe.next()
        }

        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(TransportError) -> [UInt8]? {
            try await pipe.next()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pipe: pipe) }

    /// Everything that is left.
    ///
    /// - Throws: ``TransportError/tooLarge(limit:)`` above `limit` bytes.
    public func collect(limit: Int) async throws(TransportError) -> [UInt8] {
        var bytes: [UInt8] = []
        while let piece = try await pipe.next() {
            guard bytes.count + piece.count <= limit else { throw .tooLarge(limit: limit) }
            bytes += piece
        }
        return bytes
    }
}

/// Carries a body from a loop to one reader, with word back when the loop may read on.
final class BodyPipe: Sendable {
    /// Bytes held for a slow reader before the peer is held back.
    static let highWater = 256 << 10

    private struct State {
        var pieces: [[UInt8]] = []
        var bytes = 0
        var isHeldBack = false
        /// nil while the body goes on; then how it ended.
        var end: Result<Void, TransportError>?
        var reader: CheckedContinuation<Result<[UInt8]?, TransportError>, Never>?
    }

    private let state = Mutex(State())
    private let onResume: @Sendable () -> Void
    private let onAbandon: @Sendable () -> Void

    init(onResume: @escaping @Sendable () -> Void, onAbandon: @escaping @Sendable () -> Void) {
        self.onResume = onResume
        self.onAbandon = onAbandon
    }

    deinit {
        if state.withLock({ $0.end == nil }) { onAbandon() }
    }

    /// Adds a piece; false asks the caller to hold the peer back until `onResume`.
    func push(_ piece: [UInt8]) -> Bool {
        let (reader, goesOn) = state.withLock { state -> (CheckedContinuation<Result<[UInt8]?, TransportError>, Never>?, Bool) in
            guard state.end == nil else { return (nil, true) }
            if let reader = state.reader.take() { return (reader, true) }
            state.pieces.append(piece)
            state.bytes += piece.count
            state.isHeldBack = state.bytes >= Self.highWater
            return (nil, !state.isHeldBack)
        }
        reader?.resume(returning: .success(piece))
        return goesOn
    }

    /// Ends the body; later calls change nothing.
    func finish(_ result: Result<Void, TransportError>) {
        let reader = state.withLock { state -> CheckedContinuation<Result<[UInt8]?, TransportError>, Never>? in
            guard state.end == nil else { return nil }
            state.end = result
            return state.reader.take()
        }
        reader?.resume(returning: result.map { nil })
    }

    func next() async throws(TransportError) -> [UInt8]? {
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in take(into: continuation) }
        } onCancel: {
            finish(.failure(.closed))
            onAbandon()
        }
        return try result.get()
    }

    private func take(into continuation: CheckedContinuation<Result<[UInt8]?, TransportError>, Never>) {
        enum Outcome { case deliver(Result<[UInt8]?, TransportError>, resumes: Bool), wait }
        let outcome = state.withLock { state -> Outcome in
            if !state.pieces.isEmpty {
                var joined: [UInt8] = state.pieces.count == 1 ? state.pieces[0] : []
                if state.pieces.count > 1 { for piece in state.pieces { joined += piece } }
                state.pieces = []
                state.bytes = 0
                let resumes = state.isHeldBack
                state.isHeldBack = false
                return .deliver(.success(joined), resumes: resumes)
            }
            if let end = state.end { return .deliver(end.map { nil }, resumes: false) }
            precondition(state.reader == nil, "a body has one reader")
            state.reader = continuation
            return .wait
        }
        if case .deliver(let result, let resumes) = outcome {
            if resumes { onResume() }
            continuation.resume(returning: result)
        }
    }
}
