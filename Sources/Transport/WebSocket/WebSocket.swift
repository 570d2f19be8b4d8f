import Synchronization

/// An open WebSocket, on a server or a client.
public final class WebSocket: Sendable {
    /// Unique within the process.
    public let id: UInt64
    /// The loop whose thread serves it.
    public let loop: EventLoop
    /// The peer's address; "unix" on a Unix socket.
    public let remoteAddress: String
    private let outbox: Mutex<Outbox>
    /// The connection until its end: whoever keeps a closed WebSocket keeps nothing else.
    private let link: Mutex<(any WebSocketLink)?>

    private static let nextID = Atomic<UInt64>(1)

    init(loop: EventLoop, remoteAddress: String, maximumQueuedBytes: Int, link: any WebSocketLink) {
        id = Self.nextID.wrappingAdd(1, ordering: .relaxed).oldValue
        self.loop = loop
        self.remoteAddress = remoteAddress
        self.link = Mutex(link)
        outbox = Mutex(Outbox(maximumBytes: maximumQueuedBytes))
    }

    /// Queues a message; from any thread, in order for each caller's thread.
    ///
    /// Dropped after a close. When more than the bound of ``ServerLimits/maximumQueuedBytes`` waits, the
    /// queue is dropped and the socket closes with 1013 (try again later).
    public func send(_ bytes: [UInt8], isText: Bool = true) {
        bytes.withUnsafeBytes { send(copying: $0, isText: isText) }
    }

    /// As ``send(_:isText:)``, from memory the caller keeps.
    public func send(copying bytes: UnsafeRawBufferPointer, isText: Bool = true) {
        append(OutgoingMessage(copying: bytes, kind: isText ? .text : .binary))
    }

    /// Asks the peer for a pong, behind all messages sent before: when
    /// ``WebSocketDelegate/webSocketDidReceivePong(_:)`` is called, the peer has received those.
    public func ping() {
        // Not empty: libwebsockets 4.1.6 tells of no pong without payload.
        withUnsafeBytes(of: UInt8(ascii: "?")) { append(OutgoingMessage(copying: $0, kind: .ping)) }
    }

    private func append(_ frame: OutgoingMessage) { change { $0.append(frame) } }

    /// Bytes of payload waiting to be written.
    public var queuedBytes: Int { outbox.withLock { $0.queuedBytes } }

    /// Closes after what is queued is written; from any thread, only the first close counts.
    ///
    /// - Parameter reason: cut to 123 bytes (RFC 6455 §5.5); with 1012 to 1014 it is preceded by the
    ///   registered name of the code.
    public func close(code: Int, reason: String = "") {
        change { $0.close(code: code, reason: reason) }
    }

    /// Holds the peer back; from any thread.
    public func pauseReading() { onLoop { $0.setReading(false) } }

    /// Lets the peer send again; from any thread.
    public func resumeReading() { onLoop { $0.setReading(true) } }

    /// Replaces the bound of ``ServerLimits/maximumMessageBytes`` for what comes from now on; from any thread. A longer
    /// message closes with 1009 as soon as it is known to be longer, so a stranger can be given less room.
    public func setMaximumMessageBytes(_ bytes: Int) { onLoop { $0.setMaximumMessageBytes(bytes) } }

    /// Bytes that arrived on the connection so far, control frames and handshakes too; nil where the kernel does not
    /// count them, as on Unix sockets, and after the end. On the loop's thread alone.
    public func receivedBytes() -> Int? {
        loop.preconditionOnLoop()
        return link.withLock { $0 }?.receivedBytes()
    }

    /// What the loop writes next, if anything.
    func takeNext() -> Outbox.Next { outbox.withLock { $0.takeNext() } }

    /// Nothing can be written any more.
    func markClosed() { outbox.withLock { $0.markClosed() } }

    /// The connection is gone.
    func markEnded() {
        markClosed()
        link.withLock { $0 = nil }
    }

    /// Changes the queue, has it written if the change says so, and bounds the time a close may take.
    private func change(_ body: (inout Outbox) -> Bool) {
        let (needsFlush, isEnding) = outbox.withLock { (body(&$0), $0.announcesEnd()) }
        if isEnding { onLoop { $0.endDidBegin() } }
        if needsFlush { onLoop { $0.requestWritable() } }
    }

    private func onLoop(_ body: @escaping @Sendable (any WebSocketLink) -> Void) {
        guard let link = link.withLock({ $0 }) else { return }
        if loop.isOnLoop { body(link) } else { loop.execute { body(link) } }
    }
}

extension WebSocket: Hashable {
    public static func == (one: WebSocket, other: WebSocket) -> Bool { one === other }
    public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

/// The connection under a WebSocket; every call comes on its loop's thread.
protocol WebSocketLink: AnyObject, Sendable {
    func requestWritable()
    func setReading(_ isReading: Bool)
    func setMaximumMessageBytes(_ bytes: Int)
    func receivedBytes() -> Int?
    /// A close was queued: the socket must not outlive it for long.
    func endDidBegin()
}
