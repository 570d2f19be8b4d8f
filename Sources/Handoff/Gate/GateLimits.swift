/// How much a gate holds for clients while their agent is frozen; past any bound a client gets a 503.
public struct GateLimits: Sendable {
    /// Requests held of one agent.
    public var heldRequests = 4_096
    /// Bytes of the bodies held of one agent.
    public var heldBytes = 64 << 20
    /// How long one request is held.
    public var holdTime = Duration.seconds(30)
    /// How long a request waits for an agent that has just ended, until the gate holds what comes for it or it runs again.
    public var absenceTime = Duration.seconds(5)
    /// How long a move waits for requests under way before it gives up.
    public var drainTime = Duration.seconds(20)
    /// The body of a request or answer that goes on through the mesh, in bytes. It is coded in base64 twice,
    /// and has to fit into one frame of the relay.
    public var forwardedBytes = 512 << 10
    /// Gates a request may pass before it counts as going round in circles.
    public var maximumHops = 4

    public init() {}
}
