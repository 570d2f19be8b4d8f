import CWebSockets
import Glibc
import Synchronization

/// The `lws_context` of one loop, its timers and connections.
// @unchecked Sendable: after init every member but `wake()` is used by the loop's thread alone, which
// `EventLoop` guarantees; `wake()` reads only the context pointer, and its callers hold the inbox lock
// under which the loop is not yet destroyed.
final class LoopContext: @unchecked Sendable {
    /// Bytes one read from a socket may bring: many small messages or a good part of a large one.
    static let readBufferBytes = 64 << 10
    /// Bytes of request or response head a peer may send, all header fields together.
    static let maximumHeaderBytes = 16 << 10

    private var pointer: OpaquePointer?
    private let alarm: UnsafeMutablePointer<lws_sorted_usec_list_t>
    private var alarmDeadline: ContinuousClock.Instant?
    var timers = TimerHeap()
    /// Keeps what libwebsockets points at alive until it says it is done with it.
    var connections: [ObjectIdentifier: Connection] = [:]

    init() throws(TransportError) {
        DescriptorLimit.capForTables()
        var options = lws_context_creation_info()
        options.port = CONTEXT_PORT_NO_LISTEN
        options.options =
            UInt64(LWS_SERVER_OPTION_EXPLICIT_VHOSTS)
            | UInt64(LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT)
        options.gid = -1
        options.uid = -1
        options.pt_serv_buf_size = UInt32(Self.readBufferBytes)
        options.max_http_header_data2 = UInt32(Self.maximumHeaderBytes)
        let created = LibraryLock.shared.withLock { _ -> UInt in
            lws_set_log_level(0, nil)
            return UInt(bitPattern: lws_create_context(&options))
        }
        guard let pointer = OpaquePointer(bitPattern: created) else {
            throw .outOfResources("no libwebsockets context")
        }
        self.pointer = pointer
        alarm = .allocate(capacity: 1)
        alarm.initialize(to: lws_sorted_usec_list_t())
    }

    deinit { alarm.deallocate() }

    /// Makes a sleeping loop look at its inbox.
    func wake() {
        if let pointer { lws_cancel_service(pointer) }
    }

    /// Waits for sockets, timers or ``wake()`` and serves them.
    func service() {
        guard let pointer else { return }
        _ = lws_service(pointer, 0)
    }

    /// Makes the next ``service()`` return in time for the earliest timer.
    func armTimer() {
        guard let pointer, timers.nextDeadline != alarmDeadline else { return }
        alarmDeadline = timers.nextDeadline
        guard let deadline = alarmDeadline else {
            lws_sul_cancel(alarm)
            return
        }
        let delay = (deadline - ContinuousClock.now).components
        // poll() counts in milliseconds and rounds down: one more keeps it from returning early.
        let microseconds = delay.seconds * 1_000_000 + delay.attoseconds / 1_000_000_000_000 + 1_000
        lws_sul_schedule(pointer, 0, alarm, { _ in }, max(0, microseconds))
    }

    /// Closes everything and frees the context.
    func destroy() {
        guard let pointer else { return }
        lws_sul_cancel(alarm)
        LibraryLock.shared.withLock { _ in lws_context_destroy(pointer) }
        self.pointer = nil
        for connection in connections.values { connection.forgetSocket() }
        connections = [:]
    }
}
