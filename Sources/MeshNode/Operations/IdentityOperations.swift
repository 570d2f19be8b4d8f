import FoundationEssentials

/// Revokes this peer's identity at the registry, for ever (`kars mesh revoke`).
public struct RevokeIdentity: PeerOperation {
    public static let name = "identity.revoke"
    public static let access = OperationAccess.operatorOnly

    /// Told to everyone who looks the peer up.
    public var reason: String

    public init(reason: String) { self.reason = reason }

    public struct Answer: Codable, Sendable {
        public let did: String

        public init(did: String) { self.did = did }
    }
}
