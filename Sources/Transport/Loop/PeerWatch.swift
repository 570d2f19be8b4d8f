import CWebSockets
import Glibc

/// Tells when a peer hung up or can be written to while libwebsockets looks away.
///
/// Between a request and its answer libwebsockets 4.1 does not read, so a hang-up would go unseen; and
/// while reading is held back it does not report room to write. An epoll descriptor, served as a file of
/// the loop, reports both once per `arm`.
final class PeerWatch: Connection, @unchecked Sendable {
    private let epoll: Int32
    private var watched: [UInt64: Connection] = [:]
    private var nextToken: UInt64 = 1

    init?(on loop: EventLoop) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { return nil }
        super.init(loop: loop)
        guard loop.context.adoptFile(epoll, for: self) else {
            close(epoll)
            return nil
        }
    }

    /// A number for one connection, until ``remove(_:)``.
    func add(_ connection: Connection) -> UInt64 {
        defer { nextToken += 1 }
        watched[nextToken] = connection
        return nextToken
    }

    func remove(_ token: UInt64) { watched[token] = nil }

    /// Asks for one report: a hang-up, or with `untilWritable` also room to write.
    func arm(_ token: UInt64, descriptor: Int32, untilWritable: Bool) {
        var event = epoll_event()
        event.events =
            EPOLLRDHUP.rawValue | EPOLLONESHOT.rawValue | (untilWritable ? EPOLLOUT.rawValue : 0)
        event.data.u64 = token
        if epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event) != 0 && errno == ENOENT {
            epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
        }
    }

    override func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 {
        guard reason == LWS_CALLBACK_RAW_RX_FILE else { return 0 }
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        let ready = epoll_wait(epoll, &events, 64, 0)
        for event in events.prefix(Int(max(0, ready))) {
            let gone = EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue
            watched[event.data.u64]?.watchDidFire(peerIsGone: event.events & gone != 0)
        }
        return 0
    }
}
