import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Transport

/// A frame as a client received it.
struct ReceivedFrame: Sendable {
    let bytes: [UInt8]
    let type: String
    let id: String

    init(bytes: [UInt8]) {
        self.bytes = bytes
        let object = (try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]) ?? [:]
        type = object["type"] as? String ?? ""
        id = object["id"] as? String ?? ""
    }

    subscript(_ name: String) -> String? { object[name] as? String }
    var object: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]) ?? [:] }
}

/// A client of the relay over a real WebSocket, which sends exactly what a test says.
final class MeshClient: WebSocketDelegate, Sendable {
    struct Closing: Sendable, Equatable {
        let code: Int
        let reason: String
    }

    private struct State {
        var frames: [ReceivedFrame] = []
        var closing: Closing?
        var socket: WebSocket?
        /// Whether every message is acked as it comes.
        var acks = false
    }

    let identity: Identity
    /// What it believes the time of day to be.
    private let now: @Sendable () -> Date
    private let state = Mutex(State())

    init(_ identity: Identity = .generate(), now: @escaping @Sendable () -> Date = { Date() }) {
        self.identity = identity
        self.now = now
    }

    var did: String { identity.did.text }
    var frames: [ReceivedFrame] { state.withLock { $0.frames } }
    var closing: Closing? { state.withLock { $0.closing } }
    func ids(_ type: String = "message") -> [String] { frames.filter { $0.type == type }.map(\.id) }

    // MARK: Connecting

    /// Opens the socket and nothing more.
    func open(_ relay: TestRelay, path: String = "/ws", tls: ClientTLS? = nil) async throws {
        let url = try relay.url(path, scheme: tls == nil ? "ws" : "wss")
        try await open(url, on: relay.clientLoop, tls: tls ?? ClientTLS())
    }

    func open(_ url: ServiceURL, on loop: EventLoop, tls: ClientTLS = ClientTLS()) async throws {
        let socket = try await WebSocketClient.connect(to: url, on: loop, tls: tls, delegate: self)
        state.withLock { $0.socket = socket }
    }

    /// Opens the socket and proves the identity.
    func connect(
        _ relay: TestRelay, as name: String? = nil, token: String? = nil, extensions: [String]? = nil,
        tls: ClientTLS? = nil, acks: Bool = false
    ) async throws {
        state.withLock { $0.acks = acks }
        try await open(relay, tls: tls)
        try introduce(as: name, token: token, extensions: extensions)
    }

    /// Proves the identity on an open socket.
    func introduce(as name: String? = nil, token: String? = nil, extensions: [String]? = nil) throws {
        var frame = ConnectFrame.make(identity: identity, now: now(), token: token)
        if let name { frame.from = name }
        var object = try JSONSerialization.jsonObject(with: Data(frame.encode())) as! [String: Any]
        object["extensions"] = extensions
        send(object)
    }

    /// ``connect(_:as:token:extensions:tls:acks:)``, and waits until the relay took it.
    func join(
        _ relay: TestRelay, as name: String? = nil, token: String? = nil, tls: ClientTLS? = nil,
        acks: Bool = false
    ) async throws {
        try await connect(relay, as: name, token: token, extensions: ["receipts"], tls: tls, acks: acks)
        _ = try await next("connected")
    }

    /// Acks every message as it comes.
    func acksEverything() { state.withLock { $0.acks = true } }

    func leave() async throws {
        state.withLock { $0.socket }?.close(code: 1000)
        try await waitUntil("the client is gone") { closing != nil }
    }

    // MARK: Sending

    func send(_ object: [String: Any]) {
        send(bytes: Array(try! JSONSerialization.data(withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])))
    }

    func send(_ text: String) { send(bytes: Array(text.utf8)) }

    func send(bytes: [UInt8], isText: Bool = true) {
        state.withLock { $0.socket }?.send(bytes, isText: isText)
    }

    /// Sends a message of plausible shape.
    func message(
        _ id: String, to recipient: String, type: String = "message", size: Int = 40, named: Bool = true
    ) {
        var frame: [String: Any] = [
            "v": 1, "type": type, "to": recipient, "id": id, "ts": "2026-01-01T00:00:00Z",
            "ciphertext": String(repeating: "A", count: size), "header": ["dh": "AA", "pn": 0, "n": 0],
        ]
        if named { frame["from"] = did }
        send(frame)
    }

    func ack(_ id: String) { send(["v": 1, "type": "ack", "id": id]) }

    func pauseReading() { state.withLock { $0.socket }?.pauseReading() }
    func resumeReading() { state.withLock { $0.socket }?.resumeReading() }

    // MARK: Waiting

    /// Waits for as many frames of a type and returns the last of them.
    @discardableResult
    func next(_ type: String, count: Int = 1) async throws -> ReceivedFrame {
        try await waitUntil("\(count) \(type) frames, got \(frames.map(\.type)), closing \(closing?.code ?? 0)") {
            frames.count { $0.type == type } >= count
        }
        return frames.filter { $0.type == type }[count - 1]
    }

    /// Waits for the end and returns the close code.
    func closeCode() async throws -> Int {
        try await waitUntil("a close") { closing != nil }
        return closing!.code
    }

    /// Waits until the relay has handled everything sent before.
    func settle() async throws {
        let count = frames.count { $0.type == "error" && $0["detail"] == "Unknown frame type: settle" }
        send(["type": "settle"])
        try await waitUntil("an answer to everything before") {
            frames.count { $0.type == "error" && $0["detail"] == "Unknown frame type: settle" } > count
        }
    }

    // MARK: WebSocketDelegate

    func webSocketDidOpen(_ socket: WebSocket) { state.withLock { $0.socket = socket } }

    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        let frame = ReceivedFrame(bytes: [UInt8](message))
        let acks = state.withLock { state in
            state.frames.append(frame)
            return state.acks
        }
        if acks && !frame.id.isEmpty && frame.type != "receipt" { ack(frame.id) }
    }

    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        state.withLock { $0.closing = Closing(code: code, reason: reason) }
    }
}
