import BenchSupport
import Foundation

/// One connection that is kept: writes a request, reads its answer. As little work as can be, so that the registry and
/// not the load is measured.
final class BlockingClient {
    private let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)

    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        place.sin_addr.s_addr = inet_addr("127.0.0.1")
        let status = withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw BenchError.noServer("port \(port)") }
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { close(descriptor) }

    /// The bytes of a request.
    static func request(_ method: String, _ path: String, body: [UInt8] = [], authorization: String? = nil) -> [UInt8] {
        var head = "\(method) \(path) HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        if let authorization { head += "authorization: \(authorization)\r\n" }
        if !body.isEmpty { head += "content-type: application/json\r\n" }
        if method != "GET" { head += "content-length: \(body.count)\r\n" }
        return Array((head + "\r\n").utf8) + body
    }

    /// - Returns: the answer's status.
    func send(_ request: [UInt8]) throws -> Int {
        var written = 0
        while written < request.count {
            let count = request.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, $0.count - written) }
            guard count > 0 else { throw BenchError.badAnswer("the connection ended") }
            written += count
        }
        // A server that writes head and body apart would wait for an acknowledgement, which is delayed by 40 ms.
        var yes: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_QUICKACK, &yes, socklen_t(MemoryLayout<Int32>.size))
        var filled = 0
        while true {
            let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + filled, $0.count - filled) }
            guard count > 0 else { throw BenchError.badAnswer("the connection ended") }
            filled += count
            guard let end = headEnd(filled) else { continue }
            let head = String(decoding: buffer[..<end], as: UTF8.self).lowercased()
            guard let range = head.range(of: "content-length:"),
                let length = Int(head[range.upperBound...].prefix { !$0.isNewline }.trimmingCharacters(in: .whitespaces))
            else { throw BenchError.badAnswer(head) }
            let whole = end + 4 + length
            if whole > buffer.count { buffer += [UInt8](repeating: 0, count: whole - buffer.count) }
            while filled < whole {
                let count = buffer.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + filled, whole - filled) }
                guard count > 0 else { throw BenchError.badAnswer("the connection ended") }
                filled += count
            }
            return Int(head.dropFirst(9).prefix(3)) ?? 0
        }
    }

    private func headEnd(_ filled: Int) -> Int? {
        guard filled >= 4 else { return nil }
        for at in 0...(filled - 4) where buffer[at] == 13 && buffer[at + 1] == 10 && buffer[at + 2] == 13 && buffer[at + 3] == 10 {
            return at
        }
        return nil
    }
}
