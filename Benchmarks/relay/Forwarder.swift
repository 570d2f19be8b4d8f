import Glibc
import Synchronization
import Transport

/// The limit: a server on the same transport that hands every message of one socket to its partner and does
/// nothing else. It neither looks at a frame nor keeps it.
final class Forwarder: Sendable {
    private let ends = Mutex<[String: WebSocket]>([:])

    /// One end of a pair; its partner's path differs in the first letter.
    private final class End: WebSocketDelegate, Sendable {
        let forwarder: Forwarder
        let name: String
        private let partner = Mutex<WebSocket?>(nil)

        init(_ forwarder: Forwarder, name: String) {
            self.forwarder = forwarder
            self.name = name
        }

        func webSocketDidOpen(_ socket: WebSocket) { forwarder.ends.withLock { $0[name] = socket } }

        func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
            let target = partner.withLock { partner in
                if partner == nil {
                    let other = (name.first == "a" ? "b" : "a") + name.dropFirst()
                    partner = forwarder.ends.withLock { $0[other] }
                }
                return partner
            }
            target?.send(copying: message, isText: isText)
        }

        func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
            forwarder.ends.withLock { $0[name] = nil }
        }
    }

    /// Serves until the process is ended.
    static func serve() async throws {
        let forwarder = Forwarder()
        let loops = try (0..<2).map { try EventLoop(name: "forward-\($0)") }
        let server = try await Server(
            loops: loops, endpoint: .tcp(host: "127.0.0.1", port: 0), http: { _ in .text("", status: 404) },
            webSocket: { End(forwarder, name: String($0.path.dropFirst())) })
        print("listening ws://\(server.endpoint)")
        // What is printed to a pipe waits in a buffer otherwise.
        fflush(nil)
        while true { try await Task.sleep(for: .seconds(3_600)) }
    }
}
