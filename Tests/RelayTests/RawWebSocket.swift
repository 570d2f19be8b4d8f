import Glibc

/// A WebSocket of a few system calls, to see close codes as they travel. It blocks, for at most 20 seconds.
final class RawWebSocket {
    struct NoConnection: Error {}

    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw NoConnection() }
        write(
            """
            GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n
            """.utf8)
        var head: [UInt8] = []
        while !head.reversed().starts(with: [10, 13, 10, 13]) {
            guard let byte = read(1)?.first else { throw NoConnection() }
            head.append(byte)
        }
    }

    deinit { close(descriptor) }

    /// Sends a text frame of 126 to 65,535 bytes, masked with zeros.
    func send(_ payload: [UInt8]) {
        write([0x81, 0xFE, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF), 0, 0, 0, 0] + payload)
    }

    /// Skips small frames until the one that closes; nil when none comes.
    func closeCode() -> Int? {
        while let head = read(2) {
            guard head[1] < 126, let payload = read(Int(head[1])) else { return nil }
            if head[0] == 0x88 { return payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : nil }
        }
        return nil
    }

    private func write(_ bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private func read(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return count == 0 || recv(descriptor, &bytes, count, Int32(MSG_WAITALL)) == count ? bytes : nil
    }
}
