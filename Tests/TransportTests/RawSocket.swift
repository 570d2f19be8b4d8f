import Foundation

@testable import Transport

/// A blocking socket for what no well-behaved client would do; reads give up after 20 seconds.
///
/// It blocks threads of its own: Swift's few must stay free for the handlers under test.
struct RawSocket: Sendable {
    let descriptor: Int32

    init(_ endpoint: Endpoint) throws {
        let address: SocketAddress
        switch endpoint {
        case .unix(let path): address = try SocketAddress(unixPath: path)
        case .tcp(let host, let port):
            address = try SocketAddress.resolve(host: host, port: port, forListening: false)[0]
        }
        descriptor = socket(address.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard address.withPointer({ connect(descriptor, $0, $1) }) == 0 else {
            throw TransportError.cannotConnect("\(endpoint)", SocketAddress.lastError())
        }
        limitWaits()
    }

    /// Takes the next connection of a listening descriptor.
    init(accepting listening: Int32) async throws {
        descriptor = await Self.blocking {
            var wait = pollfd(fd: listening, events: Int16(POLLIN), revents: 0)
            poll(&wait, 1, 20_000)
            return accept(listening, nil, nil)
        }
        guard descriptor >= 0 else { throw TransportError.closed }
        limitWaits()
    }

    private static func blocking<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: work()) }
        }
    }

    /// False when the peer is gone.
    @discardableResult
    func write(_ bytes: [UInt8]) async -> Bool {
        await Self.blocking { writeNow(bytes) }
    }

    private func writeNow(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    func write(_ text: String) async { await write(Array(text.utf8)) }

    /// Everything up to the end of the connection, or its breaking.
    func readToEnd() async -> [UInt8] {
        await Self.blocking {
            var all: [UInt8] = []
            while let piece = readNow(), !piece.isEmpty { all += piece }
            return all
        }
    }

    /// Bytes up to and with `marker`.
    func read(until marker: String) async -> String {
        await Self.blocking {
            var all: [UInt8] = []
            while !String(decoding: all, as: UTF8.self).contains(marker), let piece = readNow(), !piece.isEmpty {
                all += piece
            }
            return String(decoding: all, as: UTF8.self)
        }
    }

    func close() { Glibc.close(descriptor) }

    private func readNow() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count < 0 ? nil : Array(buffer.prefix(count))
    }

    private func limitWaits() {
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
}
