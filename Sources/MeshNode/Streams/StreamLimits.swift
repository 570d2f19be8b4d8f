/// The bounds and pauses of streams between peers.
public struct StreamLimits: Sendable {
    /// What one end holds of what came and was not taken, and of what it sent and the other has not confirmed, by
    /// weight (content and 64 bytes a piece).
    public var window = 1 << 20
    /// The least window that another peer may offer: with less it would make this one send crumbs.
    public var minimumWindow = 64 << 10
    /// Streams that one peer may have here, and all together.
    public var incomingPerPeer = 16
    public var incoming = 64
    /// Streams of this peer at others.
    public var outgoing = 64
    /// Without a sign of the other end for so long a stream is broken.
    public var silence = Duration.seconds(45)
    /// Longest time without a sign of this end while nothing else is sent.
    public var heartbeat = Duration.seconds(10)
    /// The pause before what was not confirmed is sent again.
    public var resendAfter = Duration.seconds(5)
    /// The pause after something could not leave.
    public var retryAfter = Duration.milliseconds(500)
    /// How often a stream looks at its clocks, and whether it is still allowed.
    public var tick = Duration.seconds(1)
    /// Answers on their way to frames of streams that are unknown here; beyond it such frames are not answered.
    public var resetsUnderWay = 64

    public init() {}
}
