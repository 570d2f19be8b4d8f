import MeshIdentity
import MeshNode
import Observability
import Transport

/// What both sides of a move work with.
struct MoveServices: Sendable {
    let identity: Identity
    let calls: MeshCalls
    let registry: RegistryClient
    let sandboxes: SandboxService
    let gate: Gate
    let journal: MoveJournal
    let hooks: AgentHooks
    let direct: DirectPolicy
    let places: PlaceFinder
    let loop: EventLoop
    let logger: Logger
}

/// Whether and how a peer's moves may go without the relay.
public struct DirectPolicy: Sendable {
    public var isAllowed: Bool
    /// Where other peers reach this one's gateway; nil when only this machine can, or nobody said.
    public var advertised: String?
    /// Whether the relay is on this machine, so that peers which share it may be too.
    public var isNear: Bool
    /// Trust for the gateways of others.
    public var tls: ClientTLS

    public init(isAllowed: Bool = true, advertised: String? = nil, isNear: Bool, tls: ClientTLS) {
        self.isAllowed = isAllowed
        self.advertised = advertised
        self.isNear = isNear
        self.tls = tls
    }
}
