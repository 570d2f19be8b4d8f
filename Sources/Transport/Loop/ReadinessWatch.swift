import CWebSockets
import Glibc

/// Hears what a ``ReadinessWatch`` saw; on the loop's thread.
protocol ReadinessObserver: AnyObject {
    func descriptorIsReady(_ readiness: Readiness, token: UInt64)
    /// The loop ends: nothing will be reported any more.
    func watchDidEnd()
}

/// What can be waited for on a descriptor, and what came.
struct Readiness: OptionSet {
    let rawValue: UInt32
    static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The peer shut down its sending side or the whole connection, or it broke.
    static let hungUp = Readiness(
        rawValue: EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue)
}

/// Reports the readiness of descriptors that libwebsockets does not watch, or not closely enough.
///
/// Between a request and its answer libwebsockets 4.1 does not read, so a hang-up would go unseen; while
/// reading is held back it does not report room to write; and of a raw connection it can close only both
/// directions at once. An epoll descriptor, served as a file of the loop, does all three.
final class ReadinessWatch: Connection, @unchecked Sendable {
    private static let batch = 64

    private let epoll: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    private var observers: [UInt64: any ReadinessObserver] = [:]
    private var nextToken: UInt64 = 1

    init?(on loop: EventLoop) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        events = .allocate(capacity: Self.batch)
        super.init(loop: loop)
        guard epoll >= 0 else { return nil }
        guard loop.context.adoptFile(epoll, for: self) else {
            close(epoll)
            return nil
        }
    }

    deinit { events.deallocate() }

    /// A number for one descriptor, until ``remove(_:)``.
    func add(_ observer: any ReadinessObserver) -> UInt64 {
        defer { nextToken += 1 }
        observers[nextToken] = observer
        return nextToken
    }

    /// Reports no more under this number; before the descriptor is closed.
    func remove(_ token: UInt64) { observers[token] = nil }

    /// Asks for one report of any of `readiness`; replaces what was asked before.
    ///
    /// A broken or fully closed connection is reported in any case.
    func arm(_ token: UInt64, descriptor: Int32, for readiness: Readiness) {
        var event = epoll_event()
        event.events = readiness.rawValue | EPOLLONESHOT.rawValue
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
        let ready = epoll_wait(epoll, events, Int32(Self.batch), 0)
        for index in 0..<Int(max(0, ready)) {
            let (token, came) = (events[index].data.u64, events[index].events)
            observers[token]?.descriptorIsReady(Readiness(rawValue: came), token: token)
        }
        return 0
    }

    override func didEnd() {
        let last = observers.values
        observers = [:]
        for observer in last { observer.watchDidEnd() }
    }
}
