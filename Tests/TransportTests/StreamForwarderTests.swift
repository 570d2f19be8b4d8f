import Foundation
import Testing

@testable import Transport

@Suite struct StreamForwarderTests {
    @Test(arguments: Carrier.allCases, Carrier.allCases)
    func requestsAndWebSocketsPassThrough(front: Carrier, back: Carrier) async throws {
        try await withSite(back, http: { .bytes($0.body) }, webSocket: { _ in Echo() }) { site in
            try await withFolder { folder in
                let forwarder = try await StreamForwarder(
                    loop: site.loop,
                    listen: front == .tcp ? .tcp(host: "127.0.0.1", port: 0) : .unix(path: folder + "/f"),
                    target: site.server.endpoint)
                let url = forwarder.endpoint.serviceURL
                let body = pattern(1 << 20)
                for _ in 0..<3 {
                    let answer = try await site.client.send(
                        HTTPClientRequest(method: "POST", url: url, body: body))
                    #expect(answer.body == body)
                }
                let recorder = Recorder()
                let socket = try await WebSocketClient.connect(
                    to: url.webSocket, on: site.loop, delegate: recorder)
                for _ in 0..<6 { socket.send(body, isText: false) }
                try await eventually { recorder.messageCount == 6 }
                #expect(recorder.messages.allSatisfy { $0.bytes == body })
                await forwarder.close()
                try await eventually { !recorder.closes.isEmpty }
            }
        }
    }

    @Test(arguments: Carrier.allCases)
    func eachDirectionClosesByItself(carrier: Carrier) async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let place: Endpoint =
                    carrier == .tcp ? .tcp(host: "127.0.0.1", port: 0) : .unix(path: folder + "/t")
                let target = try ListeningSocket.open(place)
                defer {
                    close(target.descriptor)
                    target.removeFile()
                }
                let forwarder = try await StreamForwarder(
                    loop: loop, listen: .unix(path: folder + "/f"), target: target.endpoint)
                let near = try RawSocket(forwarder.endpoint)
                let far = try await RawSocket(accepting: target.descriptor)
                await near.write(Array("question".utf8))
                shutdown(near.descriptor, Int32(SHUT_WR))
                #expect(await far.readToEnd() == Array("question".utf8))
                let answer = pattern(1 << 20)
                let writer = Task.detached {
                    await far.write(answer)
                    far.close()
                }
                #expect(await near.readToEnd() == answer)
                await writer.value
                near.close()
                await forwarder.close()
            }
        }
    }

    @Test func anUnreachableTargetClosesTheConnection() async throws {
        try await withFolder { folder in
            try await withLoop { loop in
                let forwarder = try await StreamForwarder(
                    loop: loop, listen: .unix(path: folder + "/f"), target: .unix(path: folder + "/none"))
                let near = try RawSocket(forwarder.endpoint)
                #expect(await near.readToEnd() == [])
                near.close()
                await forwarder.close()
            }
        }
    }
}
