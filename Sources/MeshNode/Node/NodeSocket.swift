import Transport

/// The node's Unix socket for commands: `POST /v1/operations`, one operation a request.
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
            })
    }

    public func close() async { await server.close() }
}
