/// A thing a peer can be asked to do, as a value (design decision 1).
///
/// The conforming type is the request; ``Answer`` is what comes back. The same value is carried in process,
/// over the node's Unix socket and inside a mesh session, so a command cannot tell which.
public protocol PeerOperation: Codable, Sendable {
    associatedtype Answer: Codable, Sendable

    /// The name on the wire, such as `sandbox.list`. Never reused for another meaning.
    static var name: String { get }

    /// Who may ask for it.
    static var access: OperationAccess { get }

    /// How long the caller waits before it gives up, in seconds.
    static var patience: Int { get }
}

extension PeerOperation {
    public static var patience: Int { 30 }
}

/// Who may ask for an operation. The peer that is asked decides, never the command.
public enum OperationAccess: Sendable, Equatable {
    /// Only the operator of this peer, over its 0600 Unix socket.
    case operatorOnly
    /// The operator, or a peer whose active pairing holds the capability.
    case capability(Capability)
    /// The operator, or any peer with an active pairing.
    case paired
    /// Whoever what is asked about belongs to, also once its pairing has ended: the operation itself looks, and tells
    /// others no more than that there is no such thing.
    case owner
}

/// What a pairing allows its peer (behaviours §5).
public enum Capability: String, Codable, Sendable, CaseIterable {
    case offload
    case handoff
}

/// An answer without content.
public struct Done: Codable, Sendable, Equatable {
    public init() {}
}
