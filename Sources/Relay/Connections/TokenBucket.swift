/// A rate with a burst. Time is monotonic: no change of the clock fills or empties it.
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

    /// Uses units without refusing; the result is zero, or the time until the level is above zero again. A negative
    /// amount gives some back.
    @discardableResult
    mutating func use(_ amount: Double, now: ContinuousClock.Instant) -> Duration {
        refill(now)
        level = min(burst, level - amount)
        return level >= 0 ? .zero : .seconds(-level / rate)
    }

    /// Uses units if they are there; false, and nothing is used, when they are not.
    mutating func take(_ amount: Double, now: ContinuousClock.Instant) -> Bool {
        refill(now)
        guard level >= amount else { return false }
        level -= amount
        return true
    }

    private mutating func refill(_ now: ContinuousClock.Instant) {
        let passed = (now - updated) / .seconds(1)
        level = min(burst, level + max(0, passed) * rate)
        updated = now
    }
}
