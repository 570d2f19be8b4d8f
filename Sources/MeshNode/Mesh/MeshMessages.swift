import FoundationEssentials

/// What every message inside a session tells first.
struct MessageHeader: Codable, Sendable {
    let type: String
    let id: String?
}

/// An operation on its way to a peer: an ``OperationRequest`` with a type.
struct MeshRequest<Body: Codable & Sendable>: Codable, Sendable {
    static var type: String { "kars:request" }

    var type = Self.type
    var v = 1
    let id: String
    let op: String
    let body: Body
    /// With a ``StreamOperation``.
    var stream: StreamOffer?

    init(id: String, op: String, body: Body, stream: StreamOffer? = nil) {
        self.id = id
        self.op = op
        self.body = body
        self.stream = stream
    }
}

/// An answer on its way back: an ``OperationResponse`` with a type.
enum MeshResponse {
    static let type = "kars:response"

    /// Adds the type to an encoded response, which is a JSON object of ours and never empty.
    static func tagging(_ response: [UInt8]) -> [UInt8] {
        Array("{\"type\":\"\(type)\",".utf8) + response.dropFirst()
    }
}

/// Says that a request that came again is being worked on.
struct MeshWorking: Codable, Sendable {
    static let type = "kars:working"

    var type = Self.type
    let id: String

    init(id: String) { self.id = id }
}
