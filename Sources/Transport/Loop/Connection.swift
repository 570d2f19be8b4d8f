import CWebSockets

/// Something libwebsockets calls back about one socket; used on its loop's thread alone.
class Connection {
    private(set) var socket: OpaquePointer?

    /// Takes one callback; non-zero closes the socket.
    func handle(
        _ reason: lws_callback_reasons, _ socket: OpaquePointer, _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    ) -> Int32 { 0 }

    func attach(_ socket: OpaquePointer) { self.socket = socket }

    /// The socket is freed; called once, before the connection is dropped.
    func forgetSocket() { socket = nil }
}
