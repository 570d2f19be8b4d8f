import COpenSSL
import Foundation
import Glibc
import Synchronization
import Transport

@testable import Resources

/// One connection of a server that speaks `v4.channel.k8s.io`, in plain blocking calls on a thread of its own: the
/// server of the module under test takes no sub-protocols.
final class ExecServer: Sendable {
    /// What it does with the connection after the handshake.
    typealias Script = @Sendable (Session) -> Void

    let url: ServiceURL
    private let listening: Int32
    private let heads = Mutex<[String]>([])
    private let thread = DispatchGroup()

    /// The heads of the requests, each as it came.
    var requests: [String] { heads.withLock { $0 } }

    /// - Parameter refusal: answers this instead of a handshake, to every request.
    init(refusal: (status: Int, body: [UInt8])? = nil, _ script: @escaping Script = { _ in }) throws {
        listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listening
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && listen(descriptor, 8) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isListening else { throw TransportError.closed }
        url = try ServiceURL(parsing: "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))")
        thread.enter()
        Thread.detachNewThread { [self] in
            defer { thread.leave() }
            while true {
                let connection = accept(listening, nil, nil)
                guard connection >= 0 else { return }
                serve(connection, refusal, script)
                close(connection)
            }
        }
    }

    /// Ends the thread.
    func stop() async {
        shutdown(listening, Int32(SHUT_RDWR))
        await withCheckedContinuation { continuation in
            thread.notify(queue: .global()) { continuation.resume() }
        }
        close(listening)
    }

    private func serve(_ connection: Int32, _ refusal: (status: Int, body: [UInt8])?, _ script: Script) {
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual([13, 10, 13, 10]) {
            var byte: UInt8 = 0
            guard read(connection, &byte, 1) == 1 else { return }
            head.append(byte)
        }
        let text = String(decoding: head, as: UTF8.self)
        heads.withLock { $0.append(text) }
        let session = Session(connection)
        if let refusal {
            session.write(
                Array("HTTP/1.1 \(refusal.status) No\r\ncontent-length: \(refusal.body.count)\r\n\r\n".utf8) + refusal.body)
            return
        }
        let key = text.split(separator: "\r\n").first { $0.lowercased().hasPrefix("sec-websocket-key:") }?
            .split(separator: ":").last?.trimmingCharacters(in: .whitespaces) ?? ""
        let accepted = Self.sha1(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        session.write(
            Array(
                """
                HTTP/1.1 101 Switching Protocols\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                Sec-WebSocket-Accept: \(Data(accepted).base64EncodedString())\r
                Sec-WebSocket-Protocol: v4.channel.k8s.io\r
                \r

                """.utf8))
        script(session)
    }

    private static func sha1(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 20)
        EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha1(), nil)
        return digest
    }

    /// Frames on a connection (RFC 6455 §5).
    struct Session: Sendable {
        private let connection: Int32

        fileprivate init(_ connection: Int32) { self.connection = connection }

        fileprivate func write(_ bytes: [UInt8]) {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }

        /// Sends a binary message of a channel.
        func send(_ channel: UInt8, _ bytes: [UInt8]) {
            let payload = [channel] + bytes
            let length: [UInt8] = payload.count < 126
                ? [UInt8(payload.count)]
                : payload.count < 65_536
                    ? [126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
                    : [127, 0, 0, 0, 0] + (0..<4).reversed().map { UInt8(truncatingIfNeeded: payload.count >> (8 * $0)) }
            write([0x82] + length + payload)
        }

        func sendStatus(_ status: JSONValue) { send(3, status.encode()) }

        /// The next message; nil at a close frame or the end.
        func receive() -> [UInt8]? {
            guard let start = take(2) else { return nil }
            var count = Int(start[1] & 127)
            if count == 126 { count = (take(2) ?? []).reduce(0) { $0 << 8 | Int($1) } }
            guard let mask = take(4), let payload = take(count), start[0] & 15 == 2 else { return nil }
            return payload.enumerated().map { $1 ^ mask[$0 & 3] }
        }

        private func take(_ count: Int) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: count)
            var filled = 0
            while filled < count {
                let got = bytes.withUnsafeMutableBytes { read(connection, $0.baseAddress! + filled, count - filled) }
                guard got > 0 else { return nil }
                filled += got
            }
            return bytes
        }
    }
}
