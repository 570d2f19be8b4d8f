import CWebSockets

/// A message with the room libwebsockets needs in front of it for a frame header.
struct OutgoingMessage: Sendable {
    static let headroom = Int(kars_lws_pre)

    /// The frame's kind (RFC 6455 §5.2).
    enum Kind: Sendable { case text, binary, ping }

    /// Headroom, then payload.
    var storage: [UInt8]
    let kind: Kind

    var payloadBytes: Int { storage.count - Self.headroom }

    init(copying payload: UnsafeRawBufferPointer, kind: Kind) {
        storage = [UInt8](unsafeUninitializedCapacity: Self.headroom + payload.count) { buffer, count in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            UnsafeMutableRawBufferPointer(rebasing: bytes[..<Self.headroom])
                .initializeMemory(as: UInt8.self, repeating: 0)
            if !payload.isEmpty {
                UnsafeMutableRawBufferPointer(rebasing: bytes[Self.headroom...]).copyMemory(from: payload)
            }
            count = Self.headroom + payload.count
        }
        self.kind = kind
    }
}

/// What one WebSocket still has to write: messages, then perhaps a close. Bounded; a value without I/O.
struct Outbox: Sendable {
    /// The order to close.
    struct Close: Sendable, Equatable {
        let code: Int
        let reason: String
    }

    /// The next thing to write.
    enum Next {
        /// `isLast` tells that nothing waits behind it.
        case message(OutgoingMessage, isLast: Bool)
        case close(Close)
        case nothing
    }

    private enum State { case open, closing(Close), closed }

    /// Counted for every message, so that endless empty ones meet the bound too.
    private static let bytesPerMessage = 64

    private let maximumBytes: Int
    private var state = State.open
    private var messages: [OutgoingMessage] = []
    private var head = 0
    private var isFlushRequested = false
    private var isEndAnnounced = false
    private(set) var queuedBytes = 0

    init(maximumBytes: Int) { self.maximumBytes = maximumBytes }

    /// True when the loop must be asked to write.
    mutating func append(_ message: OutgoingMessage) -> Bool {
        guard case .open = state else { return false }
        let cost = (messages.count - head + 1) * Self.bytesPerMessage + queuedBytes + message.payloadBytes
        guard cost <= maximumBytes else {
            messages = []
            head = 0
            queuedBytes = 0
            return close(code: 1013, reason: "too slow")
        }
        messages.append(message)
        queuedBytes += message.payloadBytes
        return requestFlush()
    }

    /// True when the loop must be asked to write.
    mutating func close(code: Int, reason: String) -> Bool {
        guard case .open = state else { return false }
        state = .closing(Close(code: code, reason: reason))
        return requestFlush()
    }

    mutating func takeNext() -> Next {
        if head < messages.count {
            let message = messages[head]
            messages[head].storage = []
            head += 1
            queuedBytes -= message.payloadBytes
            if head == messages.count {
                messages.removeAll(keepingCapacity: head <= 64)
                head = 0
            } else if head >= 1024, head * 2 > messages.count {
                messages.removeFirst(head)
                head = 0
            }
            return .message(message, isLast: messages.isEmpty)
        }
        isFlushRequested = false
        if case .closing(let close) = state {
            state = .closed
            return .close(close)
        }
        return .nothing
    }

    /// True once, when a close waits to be written.
    mutating func announcesEnd() -> Bool {
        guard !isEndAnnounced, case .closing = state else { return false }
        isEndAnnounced = true
        return true
    }

    mutating func markClosed() {
        state = .closed
        messages = []
        head = 0
        queuedBytes = 0
    }

    private mutating func requestFlush() -> Bool {
        defer { isFlushRequested = true }
        return !isFlushRequested
    }
}
