import CWebSockets
import Glibc
import Testing

@testable import Transport

struct SocketBatchTests {
    @Test func aTCPSocketHoldsBackUntilTheEndOfTheBatch() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        let begun = try #require(SocketBatch.begin(descriptor))
        #expect(isCorked(begun))
        SocketBatch.end(begun)
        #expect(!isCorked(begun))
    }

    @Test func othersDoNot() {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        #expect(SocketBatch.begin(descriptor) == nil)
    }

    @Test func aBatchOfMessagesIsSentWholeAndLeavesNothingBehind() async throws {
        let served = Recorder()
        try await withSite(webSocket: { _ in served }) { site in
            let client = Recorder()
            _ = try await WebSocketClient.connect(to: site.url.webSocket, on: site.loop, delegate: client)
            try await eventually { served.socket != nil }
            let socket = try #require(served.socket)
            // Handed over in one go, so that the loop finds them all when it writes.
            site.loop.execute {
                for number in 0..<600 { socket.send(Array("\(number)".utf8)) }
            }
            try await eventually { client.messageCount == 600 }
            #expect(client.messages.map { String(decoding: $0.bytes, as: UTF8.self) } == (0..<600).map(String.init))
            socket.send(Array("alone".utf8))
            try await eventually { client.messageCount == 601 }
        }
    }

    private func isCorked(_ descriptor: Int32) -> Bool {
        var value: Int32 = 0
        var length = socklen_t(4)
        getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_CORK, &value, &length)
        return value != 0
    }
}
