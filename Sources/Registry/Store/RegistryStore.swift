import FoundationEssentials
import MeshIdentity

/// What a registry keeps. Every change is durable when its call returns (design decision 8).
///
/// A DID in any form finds the row of its key; a DID whose digest the key does not have finds nothing.
protocol RegistryStore: Sendable {
    func agent(_ did: DID) async throws -> AgentRecord?
    /// - Parameter capabilities: by which it is discovered.
    func insert(_ agent: AgentRecord, offering capabilities: Set<String>, limit: Int) async throws -> InsertOutcome
    /// Removes the agent and its prekeys; its lineage stays. False when there was none.
    func removeAgent(_ did: DID) async throws -> Bool

    /// Notes that the key is revoked and removes its prekeys; nil without such an agent.
    ///
    /// - Returns: the first revocation, which stays.
    func revoke(_ certificate: RevocationCertificate, now: Date) async throws -> AgentRevocation?

    /// Raises the agent's tier; nil without such an agent.
    func verify(_ did: DID, as application: VerifiedApplication, now: Date) async throws -> AgentRecord?

    /// Notes who stands behind the agent and raises its tier; false without such an agent.
    func verify(_ did: DID, as person: VerifiedPerson, now: Date) async throws -> Bool

    /// Replaces the bundle, adds one-time prekeys and returns how many are unused; nil without such an agent.
    ///
    /// - Parameter limit: unused ones kept; above it the oldest go.
    func upload(_ prekeys: PrekeyUpload, of did: DID, keeping limit: Int) async throws -> Int?
    /// The bundle with, if `consuming`, a one-time prekey that nobody got before or gets again.
    func takePrekeys(of did: DID, consuming: Bool) async throws -> PrekeyBundle?

    /// Notes a heartbeat unless the last is less than `interval` ago.
    func heartbeat(of did: DID, now: Date, interval: Duration) async throws -> HeartbeatOutcome

    /// Applies the changes of one report together and returns the new scores by DID; agents that are not
    /// registered are left out.
    ///
    /// - Parameter session: counts once for its reporter; a repeated report changes nothing.
    func apply(
        _ changes: [ReputationChange], session: (id: String, reporter: DID)?, now: Date
    ) async throws -> [String: Double]

    /// Agents in the order they came, from behind a position.
    func list(
        _ filter: AgentFilter, after position: Int64, limit: Int
    ) async throws -> [(position: Int64, agent: AgentRecord)]

    /// Agents with the capability that have no successor and are not revoked, best reputation first, then the oldest.
    func discover(capability: String, limit: Int, offset: Int) async throws -> (agents: [FoundAgent], total: Int)

    func lineage(of did: DID) async throws -> Lineage?
    /// - Parameter limit: homes kept in the history; above it the oldest go.
    func write(_ write: HomeWrite, now: Date, keeping limit: Int) async throws -> HomeWriteOutcome
    /// Newest first; nil without a lineage.
    func homeHistory(of did: DID, limit: Int, offset: Int) async throws -> HomeHistory?

    /// Queues that a signed request was carried out; what is queued later is on disk no earlier.
    func remember(request digest: [UInt8], at time: Date, failed: @escaping @Sendable (any Error) -> Void)
    func forget(request digest: [UInt8])
    /// The requests remembered since then, oldest first.
    func rememberedRequests(since time: Date, limit: Int) throws -> [(digest: [UInt8], at: Date)]

    /// Removes anonymous agents that were last seen before a time, and returns how many. Agents with a home, homes of
    /// agents and revoked keys stay.
    ///
    /// - Parameter limit: most to remove in one transaction.
    func removeIdle(before time: Date, limit: Int) async throws -> Int

    func logState() async throws -> LogState
    func logPage(start: Int, limit: Int) async throws -> LogPage
    /// The newest entry about an agent, of one kind or of any; nil when nothing of the sort was ever said of it.
    func logInclusion(of did: DID, kind: KeyBinding.Kind?) async throws -> LogInclusion?
    /// Nil for sizes that the log does not have.
    func logConsistency(from: Int, to: Int) async throws -> LogConsistency?

    func close()
}

/// Which agents a list shows; nil is all.
struct AgentFilter: Sendable {
    var tier: String?
    /// The entry `display_name` of their metadata, exactly.
    var displayName: String?
}

enum InsertOutcome: Sendable, Equatable {
    case inserted, alreadyThere, full
}

enum HeartbeatOutcome: Sendable, Equatable {
    case noted, tooSoon, notRegistered
}
