import MeshIdentity
import Synchronization

/// One end of a stream inside a mesh session.
///
/// The relay keeps what a session carries in order and without repeats, but a message can be lost where a connection
/// breaks. So what was sent is kept until the other end has confirmed it, at most a window of it, and sent again.
final class MeshStream: PeerStream {
    /// How frames leave; made by ``MeshStreams``.
    protocol Way: AnyObject, Sendable {
        /// In order of the calls; `completion` as in ``MeshClient/submit(_:to:completion:)``.
        func submit(
            _ frame: StreamFrame, to peer: PeerIdentity,
            completion: @escaping @Sendable (Result<Void, any Error>) -> Void)
        /// Returns when there is a session to send in.
        func reach(_ peer: PeerIdentity) async throws
        /// Makes a fresh session, as the present one brings nothing.
        func refresh(_ peer: PeerIdentity)
        /// The stream is over and can be forgotten.
        func ended(_ stream: MeshStream)
    }

    private struct State {
        var out: StreamSendWindow
        var into: StreamReceiveWindow
        /// Why it is over, unless it ended well.
        var failure: OperationFailure?
        /// The other side's last word.
        var result: StreamResult?
        /// The last item was sent, by ``finish(_:)``.
        var isFinishing = false
        var isForgotten = false
        /// What the other end is to hear, and whether something is missing here.
        var owesWindow = false
        var misses = false
        var toldReceived: UInt64 = 0
        var isPumping = false
        var isRecovering = false
        var lastHeard: ContinuousClock.Instant
        var lastTold: ContinuousClock.Instant
        var lastProgress: ContinuousClock.Instant
        var lastRestart: ContinuousClock.Instant
        var nextWaiter = 0
        var readers: [Int: CheckedContinuation<Void, Never>] = [:]
        var writers: [Int: CheckedContinuation<Void, Never>] = [:]
        /// Those who wait until everything was confirmed.
        var enders: [Int: CheckedContinuation<Void, Never>] = [:]

        var isOver: Bool { failure != nil || result != nil }
    }

    let id: StreamID
    let peer: PeerIdentity
    /// The operation's name, and who may use it; nil at the end that asked.
    let access: OperationAccess?
    private let limits: StreamLimits
    private let way: any Way
    private let state: Mutex<State>

    /// - Parameter window: what the other end offered to hold.
    init(
        id: StreamID, peer: PeerIdentity, access: OperationAccess?, window: Int, limits: StreamLimits, way: any Way,
        now: ContinuousClock.Instant = .now
    ) {
        self.id = id
        self.peer = peer
        self.access = access
        self.limits = limits
        self.way = way
        state = Mutex(
            State(
                out: StreamSendWindow(limit: window, capacity: limits.window),
                into: StreamReceiveWindow(capacity: limits.window), lastHeard: now, lastTold: now, lastProgress: now,
                lastRestart: now))
    }

    var result: StreamResult? { state.withLock { $0.result } }

    /// Weight of what came and was not taken.
    var held: Int { state.withLock { $0.into.held } }

    // MARK: Its user

    func send(_ item: StreamItem) async throws {
        guard !item.bytes.isEmpty else { return }
        var rest = item.bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(pieceBytes)
            try await send(piece: Array(piece), item.channel)
            rest = rest.dropFirst(piece.count)
        }
    }

    /// Some pieces to a window, so that one leaves while another is confirmed; and few enough bytes for the least window.
    private var pieceBytes: Int {
        let window = state.withLock { Int(clamping: $0.out.limit - $0.out.confirmed) }
        return max(limits.minimumWindow / 2, min(window / 8, StreamFrame.maximumContent / 2))
    }

    private func send(piece: [UInt8], _ channel: StreamItem.Channel) async throws {
        while true {
            let isTaken = try state.withLock { state -> Bool in
                if let failure = state.failure { throw failure }
                guard state.result == nil, !state.isFinishing else { throw Self.unwanted }
                guard state.out.hasRoom(for: piece.count) else { return false }
                if state.out.isConfirmed { state.lastProgress = .now }
                state.out.append(channel.rawValue, piece)
                if channel == .end { state.isFinishing = true }
                return true
            }
            if isTaken { return pump() }
            try await wait(\.writers) { !$0.isOver && !$0.out.hasRoom(for: piece.count) }
        }
    }

    func next() async throws -> StreamItem? {
        while true {
            let (item, isOver) = try state.withLock { state -> (StreamItem?, Bool) in
                if let failure = state.failure { throw failure }
                guard let piece = state.into.next() else { return (nil, state.result != nil) }
                // The last word was read when it came, and the other end needs no more room then.
                if piece.channel == StreamItem.Channel.end.rawValue { return (nil, true) }
                if state.result == nil, state.into.owesRoom { state.owesWindow = true }
                // Its channel was looked at when it came.
                return (StreamItem(StreamItem.Channel(rawValue: piece.channel)!, piece.content), false)
            }
            if let item {
                pump()
                return item
            }
            if isOver { return nil }
            try await wait(\.readers) { !$0.isOver && $0.into.isEmpty }
        }
    }

    func finish(_ result: StreamResult) async {
        do {
            try await send(piece: PeerJSON.encode(result), .end)
            try await wait(\.enders) { $0.failure == nil && !$0.out.isConfirmed }
        } catch {}
        forget()
    }

    func cancel(_ reason: OperationFailure) { end(reason, tells: true) }

    /// Waits while the condition holds; its end is also looked at when something happens in between.
    private func wait(
        _ waiters: any WritableKeyPath<State, [Int: CheckedContinuation<Void, Never>]> & Sendable,
        while condition: @Sendable (State) -> Bool
    ) async throws {
        let number = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state -> Bool in
                    guard condition(state), !Task.isCancelled else { return false }
                    state[keyPath: waiters][number] = continuation
                    return true
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0[keyPath: waiters].removeValue(forKey: number) }?.resume()
        }
        try Task.checkCancellation()
        // An end waits for confirmations that come in several steps.
        if state.withLock({ condition($0) }) { try await wait(waiters, while: condition) }
    }

    private func wake(_ waiters: WritableKeyPath<State, [Int: CheckedContinuation<Void, Never>]>) {
        let woken = state.withLock { state in
            defer { state[keyPath: waiters] = [:] }
            return state[keyPath: waiters]
        }
        for one in woken.values { one.resume() }
    }

    private func wakeAll() {
        wake(\.readers)
        wake(\.writers)
        wake(\.enders)
    }

    // MARK: The other end

    /// Takes a frame that the other end sent; must not block.
    func take(_ body: StreamFrame.Body, now: ContinuousClock.Instant = .now) {
        state.withLock { $0.lastHeard = now }
        switch body {
        case .data(let offset, let channel, let content): take(offset, channel, content)
        case .window(let received, let limit, let misses): take(received, limit, misses, now)
        case .reset(let failure):
            // One that had its last word needs no more of the other end.
            if state.withLock({ $0.isFinishing }) { forget() }
            end(failure, tells: false)
        }
    }

    private func take(_ offset: UInt64, _ channel: UInt8, _ content: [UInt8]) {
        enum Step { case go, end, fail(String) }
        let step = state.withLock { state -> Step in
            guard state.failure == nil else { return .go }
            guard let kind = StreamItem.Channel(rawValue: channel) else { return .fail("an unknown channel") }
            if state.result != nil {
                // Sent again, as our word that it came was lost.
                state.owesWindow = true
                return .go
            }
            var result: StreamResult?
            if kind == .end {
                // Only the side that was asked has a last word.
                guard access == nil, let word = PeerJSON.decode(StreamResult.self, from: content) else {
                    return .fail("an end that makes no sense")
                }
                result = word
            }
            switch state.into.take(offset: offset, channel: channel, content) {
            case .violation: return .fail("more than it may")
            case .missing:
                if !state.misses { state.owesWindow = true }
                state.misses = true
                return .go
            case .repeated:
                state.owesWindow = true
                return .go
            case .taken:
                state.misses = false
                guard let result else { return .go }
                // Together with the last piece, so that whoever takes that knows how it ended.
                state.result = result
                state.owesWindow = true
                return .end
            }
        }
        switch step {
        case .go, .end: break
        case .fail(let what): return end(OperationFailure(.refused, "\(peer.did) sent \(what) on a stream"), tells: true)
        }
        wake(\.readers)
        if case .end = step { wake(\.writers) }
        pump()
    }

    private func take(_ received: UInt64, _ limit: UInt64, _ misses: Bool, _ now: ContinuousClock.Instant) {
        let makesSense = state.withLock { state -> Bool in
            guard let isNews = state.out.take(received: received, limit: limit) else { return false }
            if isNews { state.lastProgress = now }
            // Asked for too often it would make this end send a window for each small frame.
            if misses, now - state.lastRestart >= limits.retryAfter {
                state.out.startOver()
                state.lastRestart = now
            }
            return true
        }
        guard makesSense else {
            return end(OperationFailure(.refused, "\(peer.did) confirmed on a stream what was not sent"), tells: true)
        }
        wake(\.writers)
        wake(\.enders)
        pump()
    }

    /// Looks at the clocks; called every ``StreamLimits/tick``.
    func tick(_ now: ContinuousClock.Instant = .now) {
        enum Step { case nothing, silent, refresh }
        let step = state.withLock { state -> Step in
            guard state.failure == nil else { return .nothing }
            let silence = now - state.lastHeard
            if silence > limits.silence { return .silent }
            if !state.out.isConfirmed, now - max(state.lastProgress, state.lastRestart) >= limits.resendAfter {
                state.out.startOver()
                state.lastRestart = now
            }
            if state.into.received != state.toldReceived || now - state.lastTold >= limits.heartbeat { state.owesWindow = true }
            return silence > limits.heartbeat * 2 ? .refresh : .nothing
        }
        switch step {
        case .silent:
            let silence = "\(peer.did) said nothing for \(limits.silence.components.seconds) s"
            return end(OperationFailure(.timedOut, silence), tells: true)
        case .refresh: way.refresh(peer)
        case .nothing: break
        }
        pump()
    }

    // MARK: Leaving

    /// Lets whatever waits leave, in one task at a time so that it keeps its order.
    private func pump() {
        let starts = state.withLock { state -> Bool in
            guard !state.isPumping, !state.isRecovering, state.failure == nil, state.owesWindow || state.out.hasNext
            else { return false }
            state.isPumping = true
            return true
        }
        guard starts else { return }
        Task {
            while let frame = nextFrame() {
                way.submit(StreamFrame(stream: id, frame), to: peer) { [weak self] in
                    if case .failure(let error) = $0 { self?.didNotLeave(error) }
                }
            }
        }
    }

    private func nextFrame() -> StreamFrame.Body? {
        let (frame, isSettled) = state.withLock { state -> (StreamFrame.Body?, Bool) in
            guard state.failure == nil, !state.isRecovering else {
                state.isPumping = false
                return (nil, false)
            }
            if state.owesWindow {
                state.owesWindow = false
                state.lastTold = .now
                let (received, limit) = state.into.grant()
                state.toldReceived = received
                return (.window(received: received, limit: limit, misses: state.misses), false)
            }
            if let piece = state.out.next() {
                return (.data(offset: piece.offset, channel: piece.channel, content: piece.content), false)
            }
            state.isPumping = false
            return (nil, state.result != nil)
        }
        // The last word came, and the other end was told so.
        if isSettled { forget() }
        return frame
    }

    /// Reaches the peer again and sends what it did not confirm; never from the thread that reports the failure.
    private func didNotLeave(_ error: any Error) {
        if let failure = error as? OperationFailure, failure.code == .refused || failure.code == .invalid {
            return end(failure, tells: false)
        }
        let starts = state.withLock { state -> Bool in
            guard !state.isRecovering, state.failure == nil else { return false }
            state.isRecovering = true
            return true
        }
        guard starts else { return }
        Task {
            try? await Task.sleep(for: limits.retryAfter)
            try? await way.reach(peer)
            state.withLock { state in
                state.isRecovering = false
                state.owesWindow = true
                state.out.startOver()
                state.lastRestart = .now
            }
            pump()
        }
    }

    // MARK: The end

    /// Ends it badly; what came and was not taken is dropped.
    func end(_ failure: OperationFailure, tells: Bool) {
        let isNew = state.withLock { state -> Bool in
            guard state.failure == nil, state.result == nil else { return false }
            state.failure = failure
            state.into = StreamReceiveWindow(capacity: limits.window)
            state.out = StreamSendWindow(limit: 0, capacity: 0)
            return true
        }
        guard isNew else { return }
        if tells { way.submit(StreamFrame(stream: id, .reset(failure)), to: peer) { _ in } }
        forget()
        wakeAll()
    }

    private func forget() {
        let isFirst = state.withLock { state in
            defer { state.isForgotten = true }
            return !state.isForgotten
        }
        if isFirst { way.ended(self) }
    }
}
