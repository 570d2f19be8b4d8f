/// A rate with a burst. It never refuses: it says how long to wait before the next use.
struct TokenBucket: Sendable {
    private let rate: Double
    private let burst: Double
    private var level: Double
    private var updated: ContinuousClock.Instant

    /// - Parameters:
    ///   - rate: units per second.
    ///   - burst: most units that gather while nothing is used.
    init(rate: Double, burst: Double, now: ContinuousClock.Instant) {
        self.rate = rate
        self.burst = burst
        level = burst
        updated = now
    }

    /// Uses units; the result is zero, or the time until the level is above zero again.
    mutating func use(_ amount: Double, now: ContinuousClock.Instant) -> Duration {
        let passed = (now - updated) / .seconds(1)
        level = min(burst, level + max(0, passed) * rate) - amount
        updated = now
        return level >= 0 ? .zero : .seconds(-level / rate)
    }
}
