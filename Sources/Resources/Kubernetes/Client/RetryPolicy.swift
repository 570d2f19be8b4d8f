/// How often and after which pauses a call is repeated.
public struct RetryPolicy: Sendable, Hashable {
    /// Attempts in all, the first one included.
    public var attempts = 5
    /// The pause before the first repetition; each further one doubles.
    public var firstPause: Duration = .milliseconds(100)
    /// The longest pause of our own.
    public var longestPause: Duration = .seconds(5)
    /// The longest pause a server may ask for with `Retry-After`; a longer one ends the call.
    public var longestAskedPause: Duration = .seconds(30)

    public init() {}

    /// One attempt.
    public static let none: RetryPolicy = {
        var policy = RetryPolicy()
        policy.attempts = 1
        return policy
    }()

    /// The pause after a number of failed attempts: half of it certain, half by chance, so that many clients do not
    /// come back at once.
    func pause(
        afterAttempts count: Int, using generator: inout some RandomNumberGenerator
    ) -> Duration {
        var pause = firstPause
        for _ in 1..<max(1, min(count, 20)) where pause < longestPause { pause *= 2 }
        return min(pause, longestPause) * Double.random(in: 0.5...1, using: &generator)
    }
}
