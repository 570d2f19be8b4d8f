import CWebSockets
import Glibc

/// Accepts connections on its loop and hands each descriptor on.
final class Listener: Connection, @unchecked Sendable {
    /// Connections taken in a row before other sockets get their turn.
    private static let batch = 64

    private let listening: ListeningSocket
    private let onAccept: @Sendable (_ descriptor: Int32, _ remoteAddress: String) -> Void
    private let onEnd: @Sendable () -> Void
    /// Given up for a moment when descriptors run out, to take and drop whoever knocks.
    private var spare: Int32

    init(
        _ listening: ListeningSocket, loop: EventLoop,
        onAccept: @escaping @Sendable (Int32, String) -> Void, onEnd: @escaping @Sendable () -> Void
    ) {
        self.listening = listening
        self.onAccept = onAccept
        self.onEnd = onEnd
        spare = Self.openSpare()
        super.init(loop: loop)
    }

    /// Begins on the loop; false when the loop cannot take the descriptor, which is then closed.
    func start() -> Bool {
        if loop.context.adoptFile(listening.descriptor, for: self) { return true }
        close(listening.descriptor)
        return false
    }

    override func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 {
        guard reason == LWS_CALLBACK_RAW_RX_FILE else { return 0 }
        for _ in 0..<Self.batch where !acceptOne() { break }
        return 0
    }

    override func didEnd() {
        if spare >= 0 { close(spare) }
        listening.removeFile()
        onEnd()
    }

    private func acceptOne() -> Bool {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let descriptor = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { accept(listening.descriptor, $0, &length) }
        }
        guard descriptor >= 0 else {
            if errno == EMFILE || errno == ENFILE { dropOne() }
            return errno == EINTR || errno == ECONNABORTED
        }
        let flags = fcntl(descriptor, F_GETFD)
        _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC)
        let address = withUnsafePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { SocketAddress(copying: $0, length: max(length, 2)) }
        }
        if address.family != AF_UNIX {
            var on: Int32 = 1
            setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        }
        onAccept(descriptor, address.host)
        return true
    }

    private func dropOne() {
        if spare >= 0 { close(spare) }
        let descriptor = accept(listening.descriptor, nil, nil)
        if descriptor >= 0 { close(descriptor) }
        spare = Self.openSpare()
        errno = EMFILE
    }

    private static func openSpare() -> Int32 { open("/dev/null", O_RDONLY | O_CLOEXEC) }
}
