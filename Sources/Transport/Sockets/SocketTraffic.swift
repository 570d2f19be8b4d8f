import CWebSockets
import Glibc

/// What the kernel counted for a socket.
enum SocketTraffic {
    /// Where `tcpi_bytes_received` lies in the kernel's `struct tcp_info` (linux/tcp.h, since Linux 4.1); the C library's
    /// header ends before it.
    private static let receivedOffset = 128

    /// Bytes that arrived on a TCP connection; nil for other sockets and older kernels.
    static func receivedBytes(of descriptor: Int32) -> Int? {
        withUnsafeTemporaryAllocation(byteCount: receivedOffset + 8, alignment: 8) { information in
            var length = socklen_t(information.count)
            guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, information.baseAddress, &length) == 0,
                Int(length) >= information.count
            else { return nil }
            return Int(clamping: information.load(fromByteOffset: receivedOffset, as: UInt64.self))
        }
    }
}
