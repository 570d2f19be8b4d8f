import CWebSockets
import Glibc
import Synchronization

/// The `lws_context` of one loop, its timers, virtual hosts and connections.
// @unchecked Sendable: after init every member but `wake()` is used by the loop's thread alone, which
// `EventLoop` guarantees; `wake()` uses only `wakeable`, which is a lock.
final class LoopContext: @unchecked Sendable {
    /// Bytes one read from a socket may bring: many small messages or a good part of a large one.
    static let readBufferBytes = 64 << 10
    /// Bytes of request or response head a peer may send, all header fields together.
    static let maximumHeaderBytes = 16 << 10
    /// Seconds of silence after which the library itself cuts a connection in a handshake or an exchange;
    /// our own, shorter deadlines come first.
    static let silenceTimeout: UInt32 = 600

    private(set) var pointer: OpaquePointer?
    /// The context for ``wake()``, 0 once it is gone. The lock is held while the kernel is asked, so it is none that
    /// the loop waits for before its end.
    private let wakeable: Mutex<UInt>
    private let alarm: UnsafeMutablePointer<lws_sorted_usec_list_t>
    private var alarmDeadline: ContinuousClock.Instant?
    private var hosts = VirtualHosts()
    private var readinessWatch: ReadinessWatch?
    var timers = TimerHeap()
    let bodyBuffer = BodyBuffer()
    /// Keeps what libwebsockets points at alive until it says it is done with it.
    private(set) var connections: [ObjectIdentifier: Connection] = [:]

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
        options.timeout_secs = Self.silenceTimeout
        let created = LibraryLock.shared.withLock { _ -> UInt in
            lws_set_log_level(0, nil)
            signal(SIGPIPE, SIG_IGN)
            return UInt(bitPattern: lws_create_context(&options))
        }
        guard let pointer = OpaquePointer(bitPattern: created) else {
            throw .outOfResources("no libwebsockets context")
        }
        self.pointer = pointer
        wakeable = Mutex(created)
        alarm = .allocate(capacity: 1)
        alarm.initialize(to: lws_sorted_usec_list_t())
    }

    deinit { alarm.deallocate() }

    /// Makes a sleeping loop look at its inbox; from any thread, and nothing once the loop has ended.
    func wake() {
        wakeable.withLock { if let pointer = OpaquePointer(bitPattern: $0) { lws_cancel_service(pointer) } }
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
        wakeable.withLock { $0 = 0 }
        lws_sul_cancel(alarm)
        LibraryLock.shared.withLock { _ in lws_context_destroy(pointer) }
        self.pointer = nil
        readinessWatch = nil
        let left = connections.values
        connections = [:]
        for connection in left { connection.forgetSocket() }
    }
}

// MARK: - Sockets

extension LoopContext {
    func serverHost(_ tls: ServerTLS?) throws(TransportError) -> OpaquePointer {
        guard let pointer else { throw .closed }
        return try hosts.server(tls, in: pointer)
    }

    /// Takes up renewed files of a server.
    ///
    /// - Throws: when they cannot be used; those it had stay in use.
    func renewServerHost(_ tls: ServerTLS?) throws(TransportError) {
        guard let pointer else { throw .closed }
        _ = try hosts.checkedServer(tls, in: pointer)
    }

    func clientHost(_ tls: ClientTLS?) throws(TransportError) -> OpaquePointer {
        guard let pointer else { throw .closed }
        return try hosts.client(tls, in: pointer)
    }

    /// The loop's watch, made when first needed; nil without a descriptor for it.
    func readinessWatch(on loop: EventLoop) -> ReadinessWatch? {
        if readinessWatch == nil { readinessWatch = ReadinessWatch(on: loop) }
        return readinessWatch
    }

    /// Serves an accepted socket as HTTP; takes the descriptor over in any case.
    func adoptHTTP(_ descriptor: Int32, for connection: Connection, host: OpaquePointer) {
        adopt(
            descriptor, for: connection, host: host,
            as: LWS_ADOPT_HTTP.rawValue | LWS_ADOPT_SOCKET.rawValue | LWS_ADOPT_ALLOW_SSL.rawValue)
    }

    /// Reports readiness of a descriptor; takes it over only when true.
    func adoptFile(_ descriptor: Int32, for connection: Connection) -> Bool {
        guard let host = try? serverHost(nil) else { return false }
        return adopt(descriptor, for: connection, host: host, as: LWS_ADOPT_RAW_FILE_DESC.rawValue)
    }

    /// Keeps a connection whose socket the library is about to open.
    func retain(_ connection: Connection) {
        connections[ObjectIdentifier(connection)] = connection
    }

    /// Says the last word to a connection and lets it go.
    func release(_ connection: Connection) {
        guard !connection.isOpening else {
            connection.wasFreedWhileOpening = true
            return connection.detach()
        }
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        connection.forgetSocket()
    }

    @discardableResult
    private func adopt(
        _ descriptor: Int32, for connection: Connection, host: OpaquePointer, as type: UInt32
    ) -> Bool {
        retain(connection)
        var options = lws_adopt_desc_t()
        options.vh = host
        options.type = lws_adoption_type(type)
        options.fd.sockfd = descriptor
        options.opaque = Unmanaged.passUnretained(connection).toOpaque()
        guard let socket = lws_adopt_descriptor_vhost_via_info(&options) else {
            connections[ObjectIdentifier(connection)] = nil
            connection.forgetSocket()
            return false
        }
        if connection.socket == nil { connection.attach(socket) }
        return true
    }
}
