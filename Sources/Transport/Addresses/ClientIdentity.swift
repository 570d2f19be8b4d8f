/// The certificate a client shows, with its private key; in memory alone.
public struct ClientIdentity: Sendable, Hashable {
    /// PEM of the chain, leaf first.
    public let certificateChain: [UInt8]
    /// PEM of the unencrypted private key.
    let privateKey: [UInt8]

    public init(certificateChain: [UInt8], privateKey: [UInt8]) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
    }
}

extension ClientIdentity: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Says nothing of the key.
    public var description: String { "a client certificate" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
