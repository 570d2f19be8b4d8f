/// The bounds and pauses of calls between peers.
struct CallLimits: Sendable {
    /// The pause before a request is sent again.
    var resendAfter = Duration.seconds(5)
    /// The pause after a request that could not leave.
    var retryAfter = Duration.milliseconds(500)
    /// Answers remembered, by count and by bytes; the oldest give way.
    var maximumServed = 20_000
    var maximumServedBytes = 64 << 20
    /// Requests run at one time; further ones are not heard until their peer repeats them.
    var maximumRunning = 1_024
}
