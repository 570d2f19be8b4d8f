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
    /// KNOCKs decided at one time; more are refused, and their peers try again.
    public var concurrentKnocks = 64
    /// Accepted KNOCKs whose first message is to bring the key agreement; the oldest gives way.
    public var awaitedStarts = 100
    /// The least time between two new sessions with one peer after messages that would not open; it doubles
    /// while that goes on.
    public var resynchronisationPause = Duration.seconds(5)
    /// Peers looked up at one time because they sent a message in a session this one does not have.
    public var concurrentIntroductions = 8
    /// Opened messages held while the disk takes nothing; further ones stay with the relay.
    public var unstoredMessages = 256
    /// The pause before a message that could not be stored is tried again.
    public var storePause = Duration.seconds(1)
    /// Bytes of frames that wait to be handled; above it the relay is held back.
    public var maximumQueuedBytes = 32 << 20
    /// One frame of the relay, in bytes.
    public var maximumFrameBytes = 1 << 20
    /// Sessions kept at one time; the one unused for longest gives way.
    public var maximumSessions = 10_000

    public init() {}
}
