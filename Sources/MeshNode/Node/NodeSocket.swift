import Synchronization
import Transport

/// The node's Unix socket for commands: `POST /v1/operations`, one operation a request, and a WebSocket at `/v1/streams`
/// for each operation that opens a stream.
///
/// The socket's mode is 0600, so whoever can connect is the operator.
public final class NodeSocket: Sendable {
    private let server: Server

    public init(path: String, loop: EventLoop, table: OperationTable) async throws {
        var limits = ServerLimits()
        limits.maximumBodyBytes = 4 << 20
        server = try await Server(
            loops: [loop], endpoint: .unix(path: path), limits: limits,
            http: { request in
                guard request.method == "POST", request.path == NodeClient.path else {
                    return .text("not found\n", status: 404)
                }
                return .bytes(
                    await table.answer(request.body, from: .operatorOfThisPeer),
                    contentType: "application/json")
            },
            webSocket: { upgrade in
                guard upgrade.path == NodeClient.streamPath else { return nil }
                return Self.stream(table)
            })
    }

    /// Answers the request on a stream, and lets the operation have it.
    private static func stream(_ table: OperationTable) -> SocketStream {
        SocketStream { stream, request in
            Task {
                let isOpen = Mutex(false)
                let answer = await table.answer(
                    request, from: .operatorOfThisPeer,
                    opener: { _, _ in
                        isOpen.withLock { $0 = true }
                        return (stream, StreamOpened(window: 0))
                    })
                stream.answer(answer, isOpen: isOpen.withLock { $0 })
            }
        }
    }

    public func close() async { await server.close() }
}
