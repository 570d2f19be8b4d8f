import Foundation
import MeshIdentity
import Synchronization
import TestSupport
import Testing
import Transport

@testable import MeshNode

@Suite(.timeLimit(.minutes(1))) struct RelayLinkTests {
    /// A server that keeps its sockets for the test and sees what comes.
    private final class StubRelay: WebSocketDelegate, Sendable {
        let sockets = Mutex<[WebSocket]>([])
        let frames = Mutex<[String]>([])

        func webSocketDidOpen(_ socket: WebSocket) { sockets.withLock { $0.append(socket) } }
        func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
            frames.withLock { $0.append(String(decoding: message, as: UTF8.self)) }
        }
        func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {}

        var openings: Int { sockets.withLock { $0.count } }
    }

    private func run(
        _ body: (StubRelay, RelayLink, EventLoop, _ changes: @Sendable () -> [Bool]) async throws -> Void
    ) async throws {
        let loop = try EventLoop(name: "stub")
        let relay = StubRelay()
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { _ in .text("") },
            webSocket: { _ in relay })
        let changes = ChangeList()
        let link = RelayLink(
            url: try ServiceURL(parsing: "ws://\(server.endpoint)/ws"), tls: ClientTLS(), loop: loop,
            identity: .generate(), token: nil, maximumMessageBytes: 1 << 20, logger: .silent,
            onFrame: { _ in }, onChange: { isConnected in changes.list.withLock { $0.append(isConnected) } })
        var failure: (any Error)?
        do { try await body(relay, link, loop) { changes.list.withLock { $0 } } } catch { failure = error }
        link.stop()
        await server.close()
        loop.shutdown()
        if let failure { throw failure }
    }

    private final class ChangeList: Sendable { let list = Mutex<[Bool]>([]) }

    @Test func theFirstFrameProvesTheKey() async throws {
        try await run { relay, link, _, changes in
            link.start()
            try await waitUntil("a frame") { relay.frames.withLock { !$0.isEmpty } }
            #expect(relay.frames.withLock { $0[0] }.contains(#""type":"connect""#))
            #expect(link.isConnected)
            #expect(changes() == [true])
        }
    }

    @Test func aLostConnectionComesBack() async throws {
        try await run { relay, link, _, changes in
            link.start()
            try await waitUntil("a connection") { link.isConnected }
            relay.sockets.withLock { $0[0] }.close(code: 1012)
            try await waitUntil("the loss is known") { changes() == [true, false] }
            #expect(!link.send([0x7b, 0x7d]))
            try await waitUntil("a new connection") { relay.openings == 2 && link.isConnected }
            #expect(changes() == [true, false, true])
        }
    }

    @Test(arguments: [1000, 4006]) func afterAGoodbyeItStaysAway(code: Int) async throws {
        try await run { relay, link, _, changes in
            link.start()
            try await waitUntil("a connection") { link.isConnected }
            relay.sockets.withLock { $0[0] }.close(code: code)
            try await waitUntil("the loss is known") { changes() == [true, false] }
            try await waitUntil("it is final") { !link.willReconnect }
            #expect(relay.openings == 1)
        }
    }

    @Test func aLinkThatIsStoppedNeverProvesItsKeyAgain() async throws {
        for _ in 0..<8 {
            try await run { relay, link, loop, _ in
                // Stopped at every point of the handshake that scheduling brings about.
                link.start()
                for _ in 0..<Int.random(in: 0..<30) { await Task.yield() }
                link.stop()
                let proofs = relay.frames.withLock { $0.count }
                #expect(!link.isConnected && !link.willReconnect)
                // Whatever was under way has had its turn on the loop after another connection's whole life.
                let late = StubRelay()
                _ = try await WebSocketClient.connect(to: link.url, on: loop, delegate: late)
                try await waitUntil("the other connection") { late.openings == 1 }
                #expect(relay.frames.withLock { $0.count } <= proofs + 1)
                #expect(!link.isConnected)
            }
        }
    }
}
