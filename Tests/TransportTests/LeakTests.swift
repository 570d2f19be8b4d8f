import Foundation
import Testing

@testable import Transport

@Suite struct LeakTests {
    /// Runs in a process of its own: other tests open and close descriptors meanwhile.
    @Test func shutdownLeavesNoThreadAndNoDescriptor() async throws {
        let result = await #expect(processExitsWith: .success) {
            func openDescriptors() -> Int {
                (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? -1
            }
            func loops() throws -> Int {
                try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").filter {
                    (try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8)) == "test\n"
                }.count
            }
            func round() async throws {
                try await withSite(.unix, http: { .bytes($0.body) }, webSocket: { _ in Echo() }) { site in
                    for _ in 0..<20 { _ = try await site.client.send(HTTPClientRequest(url: site.url)) }
                    var sockets: [WebSocket] = []
                    for _ in 0..<20 {
                        sockets.append(
                            try await WebSocketClient.connect(
                                to: site.url.webSocket, on: site.loop, delegate: Recorder()))
                    }
                    let forwarder = try await StreamForwarder(
                        loop: site.loop, listen: .tcp(host: "127.0.0.1", port: 0), target: site.server.endpoint)
                    let url = forwarder.endpoint.serviceURL
                    for _ in 0..<5 { _ = try await site.client.send(HTTPClientRequest(url: url)) }
                    _ = try await WebSocketClient.connect(to: url.webSocket, on: site.loop, delegate: Recorder())
                    await forwarder.close()
                }
                // A loop that ends with everything open.
                let loop = try EventLoop(name: "test")
                let server = try await Server(
                    loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), http: { _ in .text("") },
                    webSocket: { _ in Echo() })
                let url = server.endpoint.serviceURL
                _ = try await HTTPClient(loop: loop).send(HTTPClientRequest(url: url))
                _ = try await WebSocketClient.connect(to: url.webSocket, on: loop, delegate: Recorder())
                let forwarder = try await StreamForwarder(
                    loop: loop, listen: .tcp(host: "127.0.0.1", port: 0), target: server.endpoint)
                _ = try await WebSocketClient.connect(
                    to: forwarder.endpoint.serviceURL.webSocket, on: loop, delegate: Recorder())
                loop.shutdown()
            }
            try await round()
            let before = openDescriptors()
            for _ in 0..<3 { try await round() }
            try #require(try loops() == 0)
            try #require(openDescriptors() == before)
        }
        #expect(result != nil)
    }
}
