/// Every bound on what other peers can make this one hold or do.
public struct MeshLimits: Sendable {
    /// Messages kept of one peer whose KNOCK is being decided or who has no session (wire §6).
    public var bufferedMessagesPerPeer = 5
    /// Peers with such messages; the oldest gives way.
    public var bufferingPeers = 100
    /// How long such messages are kept.
    public var bufferLifetime = Duration.seconds(3)
    /// How long the other side may take to answer a KNOCK (wire §6).
    public var knockDecision = Duration.seconds(10)
    /// KNOCKs decided at one time; more are refused.
    public var concurrentKnocks = 64
    /// The least time between two new sessions with one peer after a message that would not open, so that
    /// nobody can make two peers shake hands for ever.
    public var resynchronisationPause = Duration.seconds(5)
    /// One frame of the relay, in bytes.
    public var maximumFrameBytes = 1 << 20
    /// Sessions kept at one time; the one unused for longest gives way.
    public var maximumSessions = 10_000

    public init() {}
}
