import FoundationEssentials
import Observability

/// What all connections of a relay share.
final class RelayContext: Sendable {
    let limits: RelayLimits
    let table: ConnectionTable
    let store: any InboxStore
    /// Of the store's commits.
    let receipts: Receipts
    let admission: Admission
    let peers: PeerCounts
    let strangers: StrangerBudget
    let memory: MemoryCeiling
    /// nil without a registry.
    let successions: SuccessionWatch?
    let metrics: RelayMetrics
    let logger: Logger
    /// The time of day, for proofs and access tokens alone.
    let now: @Sendable () -> Date

    init(
        limits: RelayLimits, table: ConnectionTable, store: any InboxStore, receipts: Receipts, admission: Admission,
        memory: MemoryCeiling,
        successions: SuccessionWatch?, metrics: RelayMetrics, logger: Logger, now: @escaping @Sendable () -> Date
    ) {
        self.limits = limits
        self.table = table
        self.store = store
        self.receipts = receipts
        self.admission = admission
        peers = PeerCounts(limit: limits.connectionsPerPeer)
        strangers = StrangerBudget(
            perMinute: limits.strangersPerMinute, addresses: limits.strangerAddresses,
            exemptsLoopback: limits.isLoopbackExempt)
        self.memory = memory
        self.successions = successions
        self.metrics = metrics
        self.logger = logger
        self.now = now
    }

    /// The time that lifetimes of messages are counted in.
    var milliseconds: Int64 { store.milliseconds }
}
