import FoundationEssentials
import MeshNode

/// A client's request on its way from an agent's former home to its present one.
public struct ForwardRequest: PeerOperation {
    public static let name = "gate.forward"
    public static let access = OperationAccess.paired
    public static let patience = 60

    public var agent: String
    public var method: String
    /// Path and query.
    public var target: String
    public var contentType: String?
    public var accept: String?
    public var body: WireBytes
    /// Gates it came through; nil means one. It ends requests that would go round for ever between peers that
    /// each believe the agent at the other.
    public var hops: Int?
    /// The name that the first gate gave it. A home that crashed after its agent had done what was asked is asked
    /// again and has forgotten; the agent may know it by this (``Gate/requestIDHeader``). Nil from older versions.
    public var requestID: String?

    public init(
        agent: String, method: String, target: String, contentType: String?, accept: String?, body: [UInt8],
        hops: Int? = nil, requestID: String? = nil
    ) {
        self.agent = agent
        self.method = method
        self.target = target
        self.contentType = contentType
        self.accept = accept
        self.body = WireBytes(body)
        self.hops = hops
        self.requestID = requestID
    }

    public struct Answer: Codable, Sendable {
        public let status: Int
        public let contentType: String?
        public let body: WireBytes

        public init(status: Int, contentType: String?, body: [UInt8]) {
            self.status = status
            self.contentType = contentType
            self.body = WireBytes(body)
        }
    }
}
