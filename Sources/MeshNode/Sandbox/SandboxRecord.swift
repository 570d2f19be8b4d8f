import FoundationEssentials
import MeshIdentity
import Sandboxes

/// What this peer knows of an agent: its sandbox, its name on the mesh and its home.
public struct SandboxRecord: Codable, Sendable, Equatable {
    public var spec: SandboxSpec
    /// The agent's first DID, which names its home record for ever (design decision 4).
    public var lineage: DID
    /// The DID of the agent's present key.
    public var agent: DID
    /// The epoch of the home record when this peer last took part in writing it.
    public var epoch: Int
    /// The peer where the agent lives.
    public var home: PeerIdentity
    /// That peer's name as known here.
    public var homeName: String
    /// Peers that had the agent before; their gates may send clients' requests on.
    public var formerHomes: [DID]
    public var createdAt: Date

    public var name: String { spec.name }

    public init(
        spec: SandboxSpec, lineage: DID, agent: DID, epoch: Int, home: PeerIdentity, homeName: String,
        formerHomes: [DID], createdAt: Date
    ) {
        self.spec = spec
        self.lineage = lineage
        self.agent = agent
        self.epoch = epoch
        self.home = home
        self.homeName = homeName
        self.formerHomes = formerHomes
        self.createdAt = createdAt
    }
}
