import Glibc
import Synchronization

/// Listens, and serves HTTP and WebSocket on one or several loops.
///
/// New connections go to the loops in turn. Keep a server until ``close()``; it is not closed by being
/// released.
public final class Server: Sendable {
    /// What every connection of a server shares.
    final class Core: Sendable {
        let http: HTTPHandler
        let webSocket: WebSocketAcceptor?
        let limits: ServerLimits
        let customHeaders: [String]
        let admits: @Sendable (_ remoteAddress: String) -> Bool
        private let open = Atomic<Int>(0)
        private let onEmpty = Mutex<[CheckedContinuation<Void, Never>]>([])

        init(
            http: @escaping HTTPHandler, webSocket: WebSocketAcceptor?, limits: ServerLimits,
            customHeaders: [String], admits: @escaping @Sendable (String) -> Bool
        ) {
            self.admits = admits
            self.http = http
            self.webSocket = webSocket
            self.limits = limits
            self.customHeaders = customHeaders
        }

        /// False when as many as allowed are open.
        func connectionDidBegin() -> Bool {
            if open.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue <= limits.maximumConnections {
                return true
            }
            connectionDidEnd()
            return false
        }

        func connectionDidEnd() {
            guard open.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
            for waiter in onEmpty.withLock({ waiters in defer { waiters = [] }; return waiters }) {
                waiter.resume()
            }
        }

        /// Returns once no connection is open.
        func untilEmpty() async {
            await withCheckedContinuation { continuation in
                let isEmpty = onEmpty.withLock { waiters in
                    if open.load(ordering: .acquiring) == 0 { return true }
                    waiters.append(continuation)
                    return false
                }
                if isEmpty { continuation.resume() }
            }
        }
    }

    /// Where it listens, with the port the kernel picked.
    public let endpoint: Endpoint
    /// Where it listens for TLS besides; nil where it does not.
    public let secureEndpoint: Endpoint?
    private let loops: [EventLoop]
    private let core: Core
    /// What its listeners show; nil is plain text.
    private let certificates: [ServerTLS?]
    private let acceptors: [Acceptor]

    /// Begins to listen.
    ///
    /// - Parameters:
    ///   - loops: at least one; the first also accepts.
    ///   - secure: a second place to listen, under the same bounds.
    ///   - customHeaders: names of request fields beyond the common ones that handlers want to see.
    ///     libwebsockets 4.1 has no way to list fields it does not know.
    ///   - admits: asked for each connection as it arrives, with the peer's address; false cuts it unread, before TLS.
    ///     Runs on a loop and must not block.
    ///   - http: answers a request whose body is complete; cancelled when the client goes away.
    ///   - webSocket: chooses who serves a WebSocket; nil refuses all with 404. Sub-protocols are not
    ///     negotiated: a client that insists on one is refused.
    /// - Throws: ``TransportError/cannotListen(_:_:)`` or ``TransportError/tls(_:)``.
    public init(
        loops: [EventLoop], endpoint: Endpoint, tls: ServerTLS? = nil, secure: SecureListener? = nil,
        limits: ServerLimits = .init(), customHeaders: [String] = [],
        admits: @escaping @Sendable (_ remoteAddress: String) -> Bool = { _ in true },
        http: @escaping HTTPHandler, webSocket: WebSocketAcceptor? = nil
    ) async throws(TransportError) {
        precondition(!loops.isEmpty, "a server needs a loop")
        self.loops = loops
        certificates = [tls] + (secure.map { [$0.tls] } ?? [])
        let core = Core(
            http: http, webSocket: webSocket, limits: limits, customHeaders: customHeaders, admits: admits)
        self.core = core
        // Wrong certificate files are told now, not at the first connection.
        for tls in certificates {
            for loop in loops {
                try await loop.perform { () throws(TransportError) in _ = try loop.context.serverHost(tls) }
            }
        }
        let first = try await Self.listen(at: endpoint, tls, loops, core)
        self.endpoint = first.endpoint
        guard let secure else {
            secureEndpoint = nil
            acceptors = [first]
            return
        }
        do {
            let second = try await Self.listen(at: secure.endpoint, secure.tls, loops, core)
            secureEndpoint = second.endpoint
            acceptors = [first, second]
        } catch {
            await first.close()
            throw error
        }
    }

    private static func listen(
        at endpoint: Endpoint, _ tls: ServerTLS?, _ loops: [EventLoop], _ core: Core
    ) async throws(TransportError) -> Acceptor {
        let next = Atomic<Int>(0)
        return try await Acceptor(loop: loops[0], endpoint: endpoint) { descriptor, address in
            guard core.admits(address), core.connectionDidBegin() else {
                Glibc.close(descriptor)
                return
            }
            let loop = loops[next.wrappingAdd(1, ordering: .relaxed).oldValue % loops.count]
            serve(descriptor, from: address, on: loop, tls: tls, core: core)
        }
    }

    /// Checks the certificate's files as they are now. New connections take up renewed ones without being told; this
    /// says whether they can.
    ///
    /// - Throws: ``TransportError/tls(_:)`` when they cannot be used; those it had stay in use.
    public func checkCertificate() async throws(TransportError) {
        for tls in certificates {
            for loop in loops {
                try await loop.perform { () throws(TransportError) in try loop.context.renewServerHost(tls) }
            }
        }
    }

    /// Takes no new connections and frees the place; open ones go on.
    public func stopAccepting() async {
        for acceptor in acceptors { await acceptor.close() }
    }

    /// Finishes requests under way, within ``ServerLimits/drainTimeout``, then closes everything.
    ///
    /// WebSockets are closed with 1012 once what they queued is written. Idempotent.
    public func close() async {
        await stopAccepting()
        forEachConnection { $0.drain() }
        let forced = loops[0].schedule(after: core.limits.drainTimeout) { [self] in
            forEachConnection { $0.deadlineDidPass() }
        }
        await core.untilEmpty()
        forced.cancel()
    }

    private func forEachConnection(_ body: @escaping @Sendable (ServerConnection) -> Void) {
        for loop in loops {
            loop.execute { [core] in
                for case let connection as ServerConnection in loop.context.connections.values
                where connection.belongs(to: core) {
                    body(connection)
                }
            }
        }
    }

    private static func serve(
        _ descriptor: Int32, from address: String, on loop: EventLoop, tls: ServerTLS?, core: Core
    ) {
        let begin: @Sendable () -> Void = {
            let connection = ServerConnection(server: core, loop: loop, remoteAddress: address)
            guard let host = try? loop.context.serverHost(tls) else {
                Glibc.close(descriptor)
                core.connectionDidEnd()
                return
            }
            loop.context.adoptHTTP(descriptor, for: connection, host: host)
            connection.setDeadline(after: core.limits.handshakeTimeout)
        }
        if loop.isOnLoop {
            begin()
        } else if !loop.tryExecute(begin) {
            Glibc.close(descriptor)
            core.connectionDidEnd()
        }
    }
}
