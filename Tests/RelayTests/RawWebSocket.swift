import Foundation
import Glibc
import Transport

/// A blocking WebSocket for what no well-behaved client would do, or for very many of them; reads give up after 20
/// seconds.
struct RawWebSocket: Sendable {
    struct Frame: Sendable {
        let opcode: UInt8
        let payload: [UInt8]
    }

    let descriptor: Int32

    /// Connects to `/ws` and asks for a WebSocket; the answer is left to ``readHead()``. Blocks.
    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw TransportError.outOfResources("no descriptor") }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let head =
            "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        guard status == 0, write(Array(head.utf8)) else {
            close()
            throw TransportError.closed
        }
    }

    /// Connects and shakes hands, but proves nothing; on a thread of its own.
    static func open(_ relay: TestRelay) async throws -> RawWebSocket {
        guard case .tcp(_, let port) = relay.endpoint else { throw TransportError.closed }
        return try await blocking {
            Result {
                let socket = try RawWebSocket(port: port)
                guard socket.readHead() else {
                    socket.close()
                    throw TransportError.closed
                }
                return socket
            }
        }.get()
    }

    /// Sends one frame of at most 65,535 bytes, masked; false when the relay is gone.
    @discardableResult
    func send(opcode: UInt8, isFinal: Bool = true, payload: [UInt8]) async -> Bool {
        await Self.blocking { sendNow(opcode: opcode, isFinal: isFinal, payload: payload) }
    }

    /// Reads to the close frame; nil when the connection ended without one.
    func closeCode() async -> Int? {
        await Self.blocking {
            while let frame = readNow() {
                guard frame.opcode == 8 else { continue }
                return frame.payload.count < 2 ? nil : Int(frame.payload[0]) << 8 | Int(frame.payload[1])
            }
            return nil
        }
    }

    func close() { Glibc.close(descriptor) }

    /// As ``send(opcode:isFinal:payload:)``. Blocks.
    @discardableResult
    func sendNow(opcode: UInt8, isFinal: Bool = true, payload: [UInt8]) -> Bool {
        var frame: [UInt8] = [(isFinal ? 0x80 : 0) | opcode]
        if payload.count < 126 {
            frame.append(0x80 | UInt8(payload.count))
        } else {
            frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        }
        // A mask of zeros is one too.
        return write(frame + [0, 0, 0, 0] + payload)
    }

    /// The next frame; nil at the end. Blocks.
    func readNow() -> Frame? {
        guard let head = read(2) else { return nil }
        var count = Int(head[1] & 0x7F)
        if count == 126 {
            guard let length = read(2) else { return nil }
            count = Int(length[0]) << 8 | Int(length[1])
        }
        return read(count).map { Frame(opcode: head[0] & 0x0F, payload: $0) }
    }

    /// On a thread of its own: Swift's few must stay free for the relay.
    static func blocking<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: work()) }
        }
    }

    /// The answer to the handshake; false when there is none. Blocks.
    func readHead() -> Bool {
        var tail: [UInt8] = []
        while !tail.elementsEqual("\r\n\r\n".utf8) {
            guard let byte = read(1)?.first else { return false }
            tail = tail.suffix(3) + [byte]
        }
        return true
    }

    private func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    private func read(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress! + done, count - done, 0) }
            guard got > 0 else { return nil }
            done += got
        }
        return bytes
    }
}
