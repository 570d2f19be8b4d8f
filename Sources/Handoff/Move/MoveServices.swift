import MeshIdentity
import MeshNode
import Observability

/// What both sides of a move work with.
struct MoveServices: Sendable {
    let identity: Identity
    let calls: MeshCalls
    let registry: RegistryClient
    let sandboxes: SandboxService
    let gate: Gate
    let journal: MoveJournal
    let hooks: AgentHooks
    let logger: Logger
}
