import MeshIdentity
import MeshNode
import Synchronization

/// The end of a stream that lies at another peer's gate.
///
/// Messages go one call at a time, as many as fit, so they arrive in order and each once.
final class MeshStreamEnd: StreamEnd {
    /// Bytes of messages in one call; two layers of base64 keep it below a frame's bound.
    private static let callBytes = 384 << 10
    /// Bytes that may wait for a peer that does not take them.
    private static let maximumBytes = 4 << 20

    private enum Item: Sendable {
        case message(StreamMessage)
        case close(code: Int, reason: String)
    }

    private struct State: Sendable {
        var items: [Item] = []
        var bytes = 0
        var isSending = false
        var isClosed = false
    }

    let id: String
    private let peer: PeerIdentity
    private let isToAgent: Bool
    private let calls: MeshCalls
    private let onBroken: @Sendable () -> Void
    private let state = Mutex(State())

    /// - Parameter onBroken: the other peer could not be reached in time.
    init(
        id: String, peer: PeerIdentity, isToAgent: Bool, calls: MeshCalls, onBroken: @escaping @Sendable () -> Void
    ) {
        self.id = id
        self.peer = peer
        self.isToAgent = isToAgent
        self.calls = calls
        self.onBroken = onBroken
    }

    func send(_ message: StreamMessage) { put(.message(message), bytes: message.data.bytes.count) }

    func close(code: Int, reason: String) { put(.close(code: code, reason: reason), bytes: 0) }

    /// The other peer holds itself back by answering late.
    func setReading(_ isReading: Bool) {}

    /// Messages through the mesh are answered one call at a time, and what was sent stays here until then.
    func settle() async {}

    private func put(_ item: Item, bytes: Int) {
        enum Step { case start, wait, tooSlow }
        let step = state.withLock { state -> Step in
            guard !state.isClosed else { return .wait }
            guard state.bytes + bytes <= Self.maximumBytes else { return .tooSlow }
            if case .close = item { state.isClosed = true }
            state.items.append(item)
            state.bytes += bytes
            guard !state.isSending else { return .wait }
            state.isSending = true
            return .start
        }
        switch step {
        case .start: Task { await sendAll() }
        case .wait: break
        case .tooSlow: onBroken()
        }
    }

    private func sendAll() async {
        while let (messages, close) = next() {
            do {
                if !messages.isEmpty {
                    _ = try await calls.call(
                        SendOnStream(id: id, isToAgent: isToAgent, messages: messages), of: peer)
                }
                if let close {
                    _ = try await calls.call(
                        CloseStream(id: id, isToAgent: isToAgent, code: close.code, reason: close.reason), of: peer)
                }
            } catch {
                state.withLock {
                    $0.isClosed = true
                    $0.items = []
                    $0.isSending = false
                }
                return onBroken()
            }
        }
    }

    /// The next call's content, or nil when nothing waits.
    private func next() -> (messages: [StreamMessage], close: (code: Int, reason: String)?)? {
        state.withLock { state in
            var messages: [StreamMessage] = []
            var bytes = 0
            var taken = 0
            var close: (code: Int, reason: String)?
            loop: for item in state.items {
                switch item {
                case .message(let message):
                    let size = message.data.bytes.count + 64
                    guard messages.isEmpty || bytes + size <= Self.callBytes else { break loop }
                    messages.append(message)
                    bytes += size
                    state.bytes -= message.data.bytes.count
                case .close(let code, let reason): close = (code, reason)
                }
                taken += 1
            }
            guard taken > 0 else {
                state.isSending = false
                return nil
            }
            state.items.removeFirst(taken)
            return (messages, close)
        }
    }
}
