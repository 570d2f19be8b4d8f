import MeshIdentity

// What a peer may know and do of agents it once had, at the peer where they live now.

/// The agents that live here and that the asking peer was a home of (`kars list` of that peer). It knows their names
/// already; of others it learns nothing.
public struct ListGuests: PeerOperation {
    public static let name = "guest.list"
    public static let access = OperationAccess.paired
    public static let patience = 5
    public init() {}
    public typealias Answer = [SandboxSummary]
}

/// Removes an agent at its present home, for a peer it lived at before (`kars destroy --cloud` of that peer): whoever
/// may bring an agent back may also end it.
public struct DestroyGuest: PeerOperation {
    public static let name = "guest.destroy"
    public static let access = OperationAccess.capability(.handoff)
    public static let patience = 60

    /// The agent's first DID, which it keeps over all moves.
    public var lineage: DID

    public init(lineage: DID) { self.lineage = lineage }

    public typealias Answer = Done
}

/// Destroys an agent of this peer that lives elsewhere: there first, then what it left here.
public struct DestroyElsewhere: PeerOperation {
    public static let name = "sandbox.destroy-elsewhere"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 90

    public var sandboxName: String

    public init(sandboxName: String) { self.sandboxName = sandboxName }

    public typealias Answer = Done
}
