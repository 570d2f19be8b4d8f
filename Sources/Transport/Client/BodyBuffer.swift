import CWebSockets

/// The memory one loop reads bodies of answers into, one connection at a time.
final class BodyBuffer {
    private let base: UnsafeMutablePointer<CChar>
    // Shared with the library during a read, and looked at by callbacks within it.
    private let cursor: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: UnsafeMutablePointer<Int32>

    init() {
        base = .allocate(capacity: HTTPExchange.readBytes)
        cursor = .allocate(capacity: 1)
        cursor.initialize(to: base)
        count = .allocate(capacity: 1)
        count.initialize(to: 0)
    }

    deinit {
        base.deallocate()
        cursor.deallocate()
        count.deallocate()
    }

    /// Has the library read once and hand over what is body; non-zero closes.
    func read(from socket: OpaquePointer) -> Int32 {
        cursor.pointee = base
        count.pointee = Int32(HTTPExchange.readBytes)
        return lws_http_client_read(socket, cursor, count) < 0 ? -1 : 0
    }

    /// Whether the read under way brought nothing, which only the end of a connection does.
    var isUntouched: Bool { cursor.pointee == base }
}
