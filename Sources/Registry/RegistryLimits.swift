/// The bounds on what a stranger can send to a registry or make it hold. All callers on loopback count as one address.
public struct RegistryLimits: Sendable {
    /// Longest request body in bytes; above it the answer is 413.
    public var maximumBodyBytes = 256 << 10
    /// Requests a second that one address may make for long; above it the answer is 429.
    public var requestsPerSecond = 200.0
    /// Requests that one address may make at once.
    public var requestBurst = 400.0
    /// Agents a second that one address may register for long; above it the answer is 429.
    public var registrationsPerSecond = 20.0
    /// Agents that one address may register at once.
    public var registrationBurst = 200.0
    /// One-time prekeys that one address may take of one agent at once; beyond it bundles come without one, so that
    /// nobody can use up an agent's supply and yet everybody can reach it.
    public var prekeyBurst = 10.0
    /// People who may be signing in at one time; beyond it the answer is 503.
    public var maximumSignIns = 10_000
    /// Time after which an address may take one more.
    public var prekeyRefillInterval: Duration = .seconds(60)
    /// Addresses whose rates are remembered.
    public var maximumTrackedAddresses = 20_000
    /// Signed requests that are remembered against replay.
    public var maximumRememberedRequests = 200_000
    /// Agents that may be registered; above it the answer is 503.
    public var maximumAgents = 1_000_000
    /// Capabilities of one agent.
    public var maximumCapabilities = 64
    /// Longest capability in bytes.
    public var maximumCapabilityBytes = 128
    /// Metadata entries of one agent.
    public var maximumMetadataEntries = 32
    /// Longest metadata name and value in bytes.
    public var maximumMetadataTextBytes = 1024
    /// One-time prekeys in one upload.
    public var maximumOneTimeKeysPerUpload = 200
    /// One-time prekeys kept for one agent; above it the oldest go.
    public var maximumOneTimeKeysKept = 1000
    /// Homes kept in an agent's history; above it the oldest go.
    public var maximumHomesKept = 1000
    /// Longest `reason`, `intent` and `session_id` in bytes.
    public var maximumReportTextBytes = 1024
    /// Least time between two heartbeats of an agent; earlier ones get 429.
    public var heartbeatInterval: Duration = .seconds(10)
    /// How long after its last heartbeat an agent counts as online.
    public var onlineWithin: Duration = .seconds(90)

    /// The defaults: what a registry for some thousand agents needs.
    public init() {}
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
