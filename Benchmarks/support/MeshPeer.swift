import FoundationEssentials
import MeshIdentity
import Synchronization
import Transport

/// One client; hands every message to a closure on the clients' loop.
package final class MeshPeer: WebSocketDelegate, Sendable {
    package let identity: Identity
    private let onMessage: @Sendable (UnsafeRawBufferPointer) -> Void
    private let open = Mutex<WebSocket?>(nil)

    package init(identity: Identity = .generate(), onMessage: @escaping @Sendable (UnsafeRawBufferPointer) -> Void) {
        self.identity = identity
        self.onMessage = onMessage
    }

    /// Connects; with a relay it also proves its key.
    package func connect(to url: String, on loop: EventLoop) async throws {
        var limits = ServerLimits()
        limits.maximumQueuedBytes = 256 << 20
        let socket = try await WebSocketClient.connect(
            to: ServiceURL(parsing: url), on: loop, limits: limits, delegate: self)
        open.withLock { $0 = socket }
    }

    /// The first frame a relay expects.
    package func introduce(wantsReceipts: Bool) {
        let text = String(
            decoding: ConnectFrame.make(identity: identity, now: Date()).encode(), as: UTF8.self)
        send(Array((wantsReceipts ? "{\"extensions\":[\"receipts\"]," + text.dropFirst() : text).utf8))
    }

    package func send(_ bytes: [UInt8]) { open.withLock { $0 }?.send(bytes) }
    package func close() { open.withLock { $0.take() }?.close(code: 1000) }

    package func webSocketDidOpen(_ socket: WebSocket) {}
    package func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        onMessage(message)
    }
    package func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {}
}

/// The frames of a load.
package struct LoadFrames: Sendable {
    private let head: [UInt8]
    private let tail: [UInt8]

    package init(from sender: DID, to recipient: DID, size: Int) {
        head = Array("{\"v\":1,\"type\":\"message\",\"from\":\"\(sender)\",\"to\":\"\(recipient)\",\"id\":\"".utf8)
        tail = Array(
            ("\",\"ts\":\"2026-01-01T00:00:00Z\",\"header\":{\"dh\":\"AAAA\",\"pn\":0,\"n\":0},\"ciphertext\":\""
                + String(repeating: "A", count: size) + "\"}").utf8)
    }

    /// Ids as long as a UUID.
    private static func id(_ number: Int) -> String {
        let digits = String(number)
        return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - digits.count) + digits
    }

    package func message(_ number: Int) -> [UInt8] { head + Array(Self.id(number).utf8) + tail }

    package static func ack(_ number: Int) -> [UInt8] {
        Array("{\"v\":1,\"type\":\"ack\",\"id\":\"\(id(number))\"}".utf8)
    }

    /// Frames of a relay's own are shorter than any message of a load.
    package static func isMessage(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.count > 256 }
}
