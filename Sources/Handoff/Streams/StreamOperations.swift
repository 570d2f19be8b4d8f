import MeshNode

// A client's WebSocket on its way from an agent's former home to its present one.

/// Opens a stream to an agent.
struct OpenStream: PeerOperation {
    static let name = "stream.open"
    static let access = OperationAccess.paired

    /// Chosen by the caller; unique between the two peers.
    let id: String
    let agent: String
    /// Path and query.
    let target: String
    /// As in ``ForwardRequest``.
    let hops: Int

    typealias Answer = Done
}

/// Messages of a stream, in order; the answer asks for more.
struct SendOnStream: PeerOperation {
    static let name = "stream.send"
    static let access = OperationAccess.paired
    static let patience = 120

    let id: String
    /// From the client's side to the agent's, or back.
    let isToAgent: Bool
    let messages: [StreamMessage]

    typealias Answer = Done
}

/// Ends a stream.
struct CloseStream: PeerOperation {
    static let name = "stream.close"
    static let access = OperationAccess.paired

    let id: String
    let isToAgent: Bool
    let code: Int
    let reason: String

    typealias Answer = Done
}
