import TestSupport
import Testing

@testable import Transport

/// The library notices such a peer within the call that connects, frees the socket, and returns it.
@Test func aPeerThatHangsUpAtOnceIsNoticedAtOnce() async throws {
    let folder = TemporaryFolder()
    let far = try EventLoop(name: "far")
    let near = try EventLoop(name: "near")
    // Nobody listens on port 1: the forwarder takes each connection and closes it.
    let forwarder = try await StreamForwarder(
        loop: far, listen: .unix(path: folder.file("s")), target: Endpoint(parsing: "127.0.0.1:1"))
    let client = HTTPClient(loop: near, timeout: .seconds(30))
    for _ in 0..<1000 {
        let url = ServiceURL(unixSocket: folder.file("s"), target: "/healthz")
        let error = await #expect(throws: TransportError.self) {
            try await client.send(HTTPClientRequest(url: url))
        }
        if case .timedOut = error { Issue.record("the end of the connection was not noticed") }
    }
    await forwarder.close()
    near.shutdown()
    far.shutdown()
}
