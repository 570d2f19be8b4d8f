/// What a registry asks of its callers beyond the published protocol, and what less.
public struct RegistryPolicy: Sendable {
    /// Whether prekeys are handed out only to registered agents that sign for them; published clients do not.
    public var requiresPrekeyAuthorization = false
    /// Whether a key is registered without proof, as clients before the proof send it (AgentMesh wire §8). Anybody can
    /// then occupy a place for a key that is not theirs; they cannot use it.
    public var acceptsUnprovenRegistrations = false
    /// How long an anonymous agent stays that sends no heartbeat; nil for ever. Agents with a home, homes of agents, and
    /// revoked keys stay.
    public var anonymousLifetime: Duration?

    /// The published protocol, with proofs required, and nobody forgotten.
    public init() {}
}
