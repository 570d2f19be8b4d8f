import FoundationEssentials
import MeshIdentity
import Transport

/// A command's way to a node: operations over the 0600 Unix socket of this machine's, or however else its bytes get there.
public struct NodeClient: Sendable {
    /// Where a node takes operations.
    static let path = "/v1/operations"
    /// Where it takes operations that open a stream.
    static let streamPath = "/v1/streams"

    private let exchange: @Sendable ([UInt8]) async throws -> [UInt8]
    private let connect: @Sendable () async throws -> SocketStream

    /// The node of this machine.
    public init(socketPath: String, loop: EventLoop) {
        // Each operation has a patience of its own; this only ends a connection to a node that hangs.
        let client = HTTPClient(loop: loop, timeout: .seconds(180), maximumBodyBytes: 64 << 20)
        connect = {
            let stream = SocketStream()
            do {
                _ = try await WebSocketClient.connect(
                    to: ServiceURL(unixSocket: socketPath, scheme: .ws, target: Self.streamPath), on: loop, delegate: stream)
            } catch TransportError.refused {
                throw OperationFailure(
                    .refused, "the node at \(socketPath) knows no streams", hint: "it is of an older version than this command")
            } catch {
                throw OperationFailure(
                    .unavailable, "no node answers at \(socketPath)", hint: "start one with 'kars node'")
            }
            return stream
        }
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
    public init(exchange: @escaping @Sendable ([UInt8]) async throws -> [UInt8]) {
        self.exchange = exchange
        connect = { throw OperationFailure(.refused, "a stream needs a node on this machine") }
    }

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

    /// Opens a stream at the node.
    ///
    /// - Throws: the node's own ``OperationFailure``, such as a refusal; `unavailable` when no node answers.
    public func open(_ operation: some StreamOperation) async throws -> any PeerStream {
        let stream = try await connect()
        do {
            stream.ask(PeerJSON.encode(OperationRequest(id: FrameID.make(), op: type(of: operation).name, body: operation)))
            guard let answer = PeerJSON.decode(OperationResponse<StreamOpened>.self, from: try await stream.answer()) else {
                throw OperationFailure(.failed, "the node's answer to \(type(of: operation).name) makes no sense")
            }
            _ = try answer.get()
        } catch {
            stream.cancel(OperationFailure(wrapping: error, doing: "opening a stream"))
            throw error
        }
        return stream
    }

    /// Hands on a request that another program encoded, and returns the answer as it is.
    public func answer(_ request: [UInt8]) async throws -> [UInt8] { try await exchange(request) }
}
