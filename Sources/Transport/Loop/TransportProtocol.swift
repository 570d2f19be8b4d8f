import CWebSockets

/// The one protocol every virtual host offers: hands each callback to the socket's ``Connection``.
enum TransportProtocol {
    /// Bytes one read from a WebSocket brings, and of one piece of a message handed over.
    private static let receiveBytes = 16 << 10
    /// Bytes one system call sends.
    private static let sendBytes = 64 << 10

    /// Ended by an empty entry; lives as long as the process, as the library keeps pointers into it.
    // nonisolated(unsafe): written once here, only read afterwards.
    nonisolated(unsafe) static let table: UnsafePointer<lws_protocols> = {
        let table = UnsafeMutablePointer<lws_protocols>.allocate(capacity: 2)
        table.initialize(repeating: lws_protocols(), count: 2)
        table[0].name = UnsafePointer(name)
        table[0].callback = dispatch
        // Some of the library's paths skip a socket that has no user data at all.
        table[0].per_session_data_size = 8
        table[0].rx_buffer_size = receiveBytes
        table[0].tx_packet_size = sendBytes
        return UnsafePointer(table)
    }()

    // nonisolated(unsafe): a constant C string.
    nonisolated(unsafe) static let name = cString("kars")

    /// A C string that is never freed, for what the library wants to keep.
    static func cString(_ text: String) -> UnsafeMutablePointer<CChar> {
        let bytes = text.utf8CString
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
        for (index, byte) in bytes.enumerated() { copy[index] = byte }
        return copy
    }
}

private func dispatch(
    _ socket: OpaquePointer?, _ reason: lws_callback_reasons, _ user: UnsafeMutableRawPointer?,
    _ bytes: UnsafeMutableRawPointer?, _ count: Int
) -> Int32 {
    switch reason {
    // Told about no socket of ours, with a made-up one.
    case LWS_CALLBACK_GET_THREAD_ID, LWS_CALLBACK_EVENT_WAIT_CANCELLED, LWS_CALLBACK_PROTOCOL_INIT,
        LWS_CALLBACK_PROTOCOL_DESTROY, LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS,
        LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS,
        LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        return 0
    case LWS_CALLBACK_OPENSSL_PERFORM_CLIENT_CERT_VERIFICATION:
        // The answer replaces OpenSSL's own judgement of the client's certificate, which `count` is.
        return count == 1 ? 0 : 1
    default:
        break
    }
    guard let socket, let owner = lws_get_opaque_user_data(socket) else { return 0 }
    let connection = Unmanaged<Connection>.fromOpaque(owner).takeUnretainedValue()
    if reason == LWS_CALLBACK_WSI_DESTROY {
        connection.loop.context.release(connection)
        return 0
    }
    if connection.socket == nil { connection.attach(socket) }
    return connection.handle(reason, socket, bytes, count)
}
