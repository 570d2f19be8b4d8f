import FoundationEssentials
import MeshIdentity
import Transport

/// A command's way to the node of this machine: operations over its 0600 Unix socket.
public struct NodeClient: Sendable {
    /// Where a node takes operations.
    static let path = "/v1/operations"

    public let socketPath: String
    private let client: HTTPClient

    public init(socketPath: String, loop: EventLoop) {
        self.socketPath = socketPath
        // Each operation has a patience of its own; this only ends a connection to a node that hangs.
        client = HTTPClient(loop: loop, timeout: .seconds(180), maximumBodyBytes: 64 << 20)
    }

    /// Asks the node.
    ///
    /// - Throws: the node's own ``OperationFailure``; `unavailable` when no node answers.
    public func call<Operation: PeerOperation>(_ operation: Operation) async throws -> Operation.Answer {
        let request = OperationRequest(id: FrameID.make(), op: Operation.name, body: operation)
        let response: HTTPClientResponse
        do {
            response = try await client.send(
                HTTPClientRequest(
                    method: "POST", url: ServiceURL(unixSocket: socketPath, target: Self.path),
                    headers: ["content-type": "application/json"], body: PeerJSON.encode(request)))
        } catch TransportError.cannotConnect {
            throw OperationFailure(
                .unavailable, "no node answers at \(socketPath)", hint: "start one with 'kars node'")
        } catch {
            throw OperationFailure(.unavailable, "the node at \(socketPath) broke off: \(error)")
        }
        guard let answer = PeerJSON.decode(OperationResponse<Operation.Answer>.self, from: response.body)
        else {
            throw OperationFailure(.failed, "the node's answer to \(Operation.name) makes no sense")
        }
        return try answer.get()
    }
}
