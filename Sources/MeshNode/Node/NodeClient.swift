import FoundationEssentials
import MeshIdentity
import Transport

/// A command's way to a node: operations over the 0600 Unix socket of this machine's, or however else its bytes get there.
public struct NodeClient: Sendable {
    /// Where a node takes operations.
    static let path = "/v1/operations"

    private let exchange: @Sendable ([UInt8]) async throws -> [UInt8]

    /// The node of this machine.
    public init(socketPath: String, loop: EventLoop) {
        // Each operation has a patience of its own; this only ends a connection to a node that hangs.
        let client = HTTPClient(loop: loop, timeout: .seconds(180), maximumBodyBytes: 64 << 20)
        exchange = { request in
            do {
                return try await client.send(
                    HTTPClientRequest(
                        method: "POST", url: ServiceURL(unixSocket: socketPath, target: Self.path),
                        headers: ["content-type": "application/json"], body: request)
                ).body
            } catch TransportError.cannotConnect {
                throw OperationFailure(
                    .unavailable, "no node answers at \(socketPath)", hint: "start one with 'kars node'")
            } catch {
                throw OperationFailure(.unavailable, "the node at \(socketPath) broke off: \(error)")
            }
        }
    }

    /// A node elsewhere.
    ///
    /// - Parameter exchange: brings it an encoded request and returns its answer; throws ``OperationFailure``.
    public init(exchange: @escaping @Sendable ([UInt8]) async throws -> [UInt8]) { self.exchange = exchange }

    /// Asks the node.
    ///
    /// - Throws: the node's own ``OperationFailure``; `unavailable` when no node answers.
    public func call<Operation: PeerOperation>(_ operation: Operation) async throws -> Operation.Answer {
        let request = OperationRequest(id: FrameID.make(), op: Operation.name, body: operation)
        let bytes = try await exchange(PeerJSON.encode(request))
        guard let answer = PeerJSON.decode(OperationResponse<Operation.Answer>.self, from: bytes) else {
            throw OperationFailure(.failed, "the node's answer to \(Operation.name) makes no sense")
        }
        return try answer.get()
    }

    /// Hands on a request that another program encoded, and returns the answer as it is.
    public func answer(_ request: [UInt8]) async throws -> [UInt8] { try await exchange(request) }
}
