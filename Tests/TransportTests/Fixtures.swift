import Foundation
import Synchronization
import Testing

@testable import Transport

/// A loop and a server on a Unix socket or loopback port, all stopped at the end.
struct Site: Sendable {
    let loop: EventLoop
    let server: Server
    let url: ServiceURL
    let client: HTTPClient
}

enum Carrier: CaseIterable, Sendable { case tcp, unix }

/// A new folder with a short path, removed at the end.
@discardableResult
func withFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let path = "/tmp/kt-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

@discardableResult
func withLoop<Value>(_ body: (EventLoop) async throws -> Value) async throws -> Value {
    let loop = try EventLoop(name: "test")
    defer { loop.shutdown() }
    return try await body(loop)
}

/// Serves `http` and `webSocket`, hands over a client, then stops everything.
@discardableResult
func withSite<Value>(
    _ carrier: Carrier = .tcp, limits: ServerLimits = .init(), customHeaders: [String] = [],
    timeout: Duration = .seconds(20),
    http: @escaping HTTPHandler = { _ in .text("hello") }, webSocket: WebSocketAcceptor? = nil,
    _ body: (Site) async throws -> Value
) async throws -> Value {
    try await withFolder { folder in
        try await withLoop { loop in
            let endpoint: Endpoint =
                carrier == .tcp ? .tcp(host: "127.0.0.1", port: 0) : .unix(path: folder + "/s")
            let server = try await Server(
                loops: [loop], endpoint: endpoint, limits: limits, customHeaders: customHeaders, http: http,
                webSocket: webSocket)
            let url = server.endpoint.serviceURL
            let client = HTTPClient(loop: loop, timeout: timeout, customHeaders: customHeaders)
            do {
                let value = try await body(Site(loop: loop, server: server, url: url, client: client))
                await server.close()
                return value
            } catch {
                await server.close()
                throw error
            }
        }
    }
}

extension Endpoint {
    var serviceURL: ServiceURL {
        switch self {
        case .tcp(let host, let port): try! ServiceURL(parsing: "http://\(AddressText.bracketed(host)):\(port)")
        case .unix(let path): ServiceURL(unixSocket: path)
        }
    }
}

/// Waits until `condition` holds, for at most a generous while.
func eventually(
    _ what: @autoclosure () -> Comment? = nil, within limit: Duration = .seconds(20),
    _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while ContinuousClock.now < end {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record(what() ?? "the condition never came true")
}

/// Counts what happened, from any thread.
final class Tally: Sendable {
    private let state = Mutex(0)
    var count: Int { state.withLock { $0 } }
    func add(_ number: Int = 1) { state.withLock { $0 += number } }
}

/// Bytes that do not repeat in step with any buffer; made by doubling, as tests run unoptimised.
func pattern(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = (0..<251).map { UInt8($0) }
    while bytes.count < count { bytes += bytes }
    return Array(bytes.prefix(count))
}

/// Remembers what a WebSocket told.
final class Recorder: WebSocketDelegate {
    struct Message: Equatable {
        let bytes: [UInt8]
        let isText: Bool
    }
    private struct State {
        var socket: WebSocket?
        var messages: [Message] = []
        var closes: [(Int, String)] = []
        var drains = 0
        /// Messages that had come when each pong did.
        var pongs: [Int] = []
        var opens = 0
    }
    private let state = Mutex(State())
    let onOpen: @Sendable (WebSocket) -> Void

    init(onOpen: @escaping @Sendable (WebSocket) -> Void = { _ in }) { self.onOpen = onOpen }

    var messages: [Message] { state.withLock { $0.messages } }
    var messageCount: Int { state.withLock { $0.messages.count } }
    var closes: [Int] { state.withLock { $0.closes.map(\.0) } }
    var reasons: [String] { state.withLock { $0.closes.map(\.1) } }
    var drains: Int { state.withLock { $0.drains } }
    var pongs: [Int] { state.withLock { $0.pongs } }
    var opens: Int { state.withLock { $0.opens } }
    var socket: WebSocket? { state.withLock { $0.socket } }

    func webSocketDidOpen(_ socket: WebSocket) {
        state.withLock {
            $0.socket = socket
            $0.opens += 1
        }
        onOpen(socket)
    }
    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        state.withLock { $0.messages.append(Message(bytes: Array(message), isText: isText)) }
    }
    func webSocketDidReceivePong(_ socket: WebSocket) { state.withLock { $0.pongs.append($0.messages.count) } }
    func webSocketDidDrain(_ socket: WebSocket) { state.withLock { $0.drains += 1 } }
    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        state.withLock { $0.closes.append((code, reason)) }
    }
}

/// Sends back what it receives.
final class Echo: WebSocketDelegate {
    let recorder = Recorder()
    func webSocketDidOpen(_ socket: WebSocket) { recorder.webSocketDidOpen(socket) }
    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        socket.send(copying: message, isText: isText)
    }
    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
        recorder.webSocketDidClose(socket, code: code, reason: reason)
    }
}

extension ServiceURL {
    var webSocket: ServiceURL {
        var url = self
        url.scheme = .ws
        return url
    }
}
