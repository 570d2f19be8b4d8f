import Foundation
import MeshNode
import Synchronization
import TestSupport
import Testing
import Transport

/// WebSocket clients of agents that move.
@Suite(.enabled(if: SandboxSupport.isThere), .serialized)
struct StreamTests {
    /// A client of `/v1/stream` that waits for each answer.
    final class ChatClient: WebSocketDelegate {
        struct Done: Decodable {
            let type: String
            let turn: Int?
            let remembered: ChatReply.Remembered?
        }

        private let answers: AsyncStream<Done>
        private let feed: AsyncStream<Done>.Continuation
        private let socket = Mutex<WebSocket?>(nil)
        let closeCode = Mutex<Int?>(nil)

        private let name: String

        init(_ name: String = "stream") {
            self.name = name
            (answers, feed) = AsyncStream.makeStream()
        }

        func connect(_ peer: PeerFixture, _ agent: String, loop: EventLoop, token: String? = nil) async throws {
            let token = try token ?? String(contentsOfFile: peer.home + "/node/tokens/" + agent, encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let opened = try await WebSocketClient.connect(
                to: try ServiceURL(parsing: "ws://\(peer.gateway)/agents/\(agent)/v1/stream?token=\(token)"),
                on: loop, delegate: self)
            socket.withLock { $0 = opened }
        }

        /// Sends one message and returns its final answer.
        func ask(_ message: String) async throws -> Done {
            let bytes = Array(try JSONEncoder().encode(["message": message, "conversation": name]))
            socket.withLock { $0 }?.send(bytes)
            for await answer in answers where answer.type != "delta" { return answer }
            throw OperationFailure(.failed, "closed with \(closeCode.withLock { $0 } ?? 0)")
        }

        func close() { socket.withLock { $0 }?.close(code: 1000) }

        func webSocketDidOpen(_ socket: WebSocket) {}
        func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
            if let answer = try? JSONDecoder().decode(Done.self, from: Data(message)) { feed.yield(answer) }
        }
        func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {
            closeCode.withLock { $0 = code }
            feed.finish()
        }
    }

    @Test func aWebSocketOutlivesMovesAndLosesNothing() async throws {
        let mesh = try await MeshFixture()
        let loop = try EventLoop(name: "client")
        let (local, cloud) = try await mesh.pairedPeers()
        _ = try await local.client.call(CreateSandbox(sandboxName: "a"))
        let client = ChatClient()
        try await client.connect(local, "a", loop: loop)
        let talk = Task {
            for number in 1...200 {
                let answer = try await client.ask("\(number)")
                #expect(answer.type == "done" && answer.turn == number)
                #expect(answer.remembered?.previous == (number == 1 ? nil : "\(number - 1)"))
                
            }
        }
        #expect(try await local.handoff("a", to: "cloud").phase == .complete)
        let late = ChatClient("late")
        try await late.connect(local, "a", loop: loop)
        #expect(try await late.ask("from the old gate").type == "done")
        #expect(try await local.handoff("a", to: "local").phase == .complete)
        _ = try await talk.value
        #expect(try await late.ask("again").type == "done")
        client.close()
        late.close()
        try await waitUntil("it is closed") { client.closeCode.withLock { $0 } != nil }
        for peer in [local, cloud] { await peer.stop() }
        loop.shutdown()
        await mesh.stop()
    }

    @Test func aWebSocketNeedsTheTokenAndNoHook() async throws {
        let mesh = try await MeshFixture()
        let loop = try EventLoop(name: "client")
        let peer = try await mesh.peer("local")
        _ = try await peer.client.call(CreateSandbox(sandboxName: "a"))
        await #expect { try await ChatClient().connect(peer, "a", loop: loop, token: "wrong") } throws: {
            if case TransportError.refused(status: 404) = $0 { true } else { false }
        }
        let client = ChatClient()
        try await client.connect(peer, "a", loop: loop)
        #expect(try await client.ask("hello").turn == 1)
        // The agent's end takes the client's with it.
        _ = try await peer.client.call(DestroySandbox(sandboxName: "a"))
        try await waitUntil("it is closed") { client.closeCode.withLock { $0 } == 1001 }
        await peer.stop()
        loop.shutdown()
        await mesh.stop()
    }
}
