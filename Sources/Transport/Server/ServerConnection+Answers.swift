import CWebSockets

/// Sends answers as the peer takes them.
extension ServerConnection {
    func respond(_ response: HTTPResponse, _ socket: OpaquePointer) -> Int32 {
        let answer = response.headers.isWellFormed && (200...999).contains(response.status)
            ? response : .text("the answer is malformed", status: 500)
        let stream = ResponseStream { [loop, weak self] in
            loop.execute { [weak self] in self?.requestWrite() }
        }
        if answer.closesConnection { closesAfterResponse = true }
        let bodiless = isHead || answer.status == 204 || answer.status == 304
        var task: Task<Void, Never>?
        let framing: ResponseHead.Framing
        var first: [UInt8] = []
        switch answer.body {
        case .bytes(let bytes):
            framing = answer.status == 204 ? .none : .length(bytes.count)
            if !bodiless { first = bytes }
            stream.finish(failed: false)
        case .stream(let produce):
            framing = bodiless ? .none : isOldVersion ? .untilClose : .chunked
            if isOldVersion { closesAfterResponse = true }
            if bodiless {
                stream.finish(failed: false)
            } else {
                task = Self.run(produce, into: stream, isChunked: !isOldVersion)
            }
        }
        let head = ResponseHead.bytes(
            status: answer.status, headers: answer.headers, framing: framing, closes: closesAfterResponse)
        state = .responding(ResponseWriter(stream: stream, first: head + first), task)
        setDeadline(after: server.limits.keepAliveTimeout)
        requestWrite()
        return 0
    }

    private static func run(
        _ produce: @escaping @Sendable (HTTPBodyWriter) async throws -> Void, into stream: ResponseStream,
        isChunked: Bool
    ) -> Task<Void, Never> {
        Task {
            let writer = HTTPBodyWriter { bytes throws(TransportError) in
                try await stream.write(isChunked ? ResponseHead.chunk(bytes) : bytes)
            }
            do {
                try await produce(writer)
                if isChunked { try await stream.write(ResponseHead.lastChunk) }
                stream.finish(failed: false)
            } catch {
                stream.finish(failed: true)
            }
        }
    }

    /// Has ``write(_:)`` called when the socket takes more.
    func requestWrite() {
        guard case .responding = state, let socket else { return }
        if lws_send_pipe_choked(socket) != 0 {
            waitUntilWritable(socket)
        } else {
            lws_rx_flow_control(socket, 1)
            lws_callback_on_writable(socket)
        }
    }

    func write(_ socket: OpaquePointer) -> Int32 {
        guard case .responding(let writer, _) = state else { return 0 }
        switch writer.write(on: socket) {
        case .full:
            setDeadline(after: server.limits.keepAliveTimeout)
            waitUntilWritable(socket)
            return 0
        case .idle:
            // The producer takes its time; the peer has nothing to do meanwhile.
            setDeadline(after: nil)
            lws_rx_flow_control(socket, 0)
            armWatch(socket, untilWritable: false)
            return 0
        case .done: return responseDidEnd(socket)
        case .failed: return -1
        }
    }

    private func responseDidEnd(_ socket: OpaquePointer) -> Int32 {
        state = .waiting
        lws_rx_flow_control(socket, 1)
        setDeadline(
            after: closesAfterResponse ? server.limits.handshakeTimeout : server.limits.keepAliveTimeout)
        // Closing with a part of the request unread would make the kernel throw the answer away: the
        // library then discards the rest, within the deadline.
        if closesAfterResponse && !isBodyUnread { return -1 }
        return lws_http_transaction_completed(socket) == 0 ? 0 : -1
    }

    private func waitUntilWritable(_ socket: OpaquePointer) {
        lws_rx_flow_control(socket, 0)
        armWatch(socket, untilWritable: true)
    }

    func armWatch(_ socket: OpaquePointer, untilWritable: Bool) {
        guard let watch = loop.context.readinessWatch(on: loop) else { return }
        let token = watchToken ?? watch.add(self)
        watchToken = token
        watch.arm(
            token, descriptor: lws_get_socket_fd(socket), for: untilWritable ? [.hungUp, .writable] : .hungUp)
    }
}

// MARK: - What libwebsockets does not see

extension ServerConnection: ReadinessObserver {
    func descriptorIsReady(_ readiness: Readiness, token: UInt64) {
        let peerIsGone = !readiness.isDisjoint(with: .hungUp)
        switch state {
        case .handling(let task) where peerIsGone:
            task.cancel()
            kill()
        case .responding where peerIsGone: kill()
        case .responding:
            guard let socket else { return }
            lws_rx_flow_control(socket, 1)
            lws_callback_on_writable(socket)
        default: break
        }
    }

    func watchDidEnd() {}
}
