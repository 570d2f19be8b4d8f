import MeshIdentity

/// A peer whose key is proven: a session with it exists, or its token pinned the key.
public struct PeerIdentity: Sendable, Hashable, Codable {
    public let key: PublicKey
    public var did: DID { key.did }

    public init(key: PublicKey) { self.key = key }
}
