import FoundationEssentials
import Synchronization

/// A token bucket for each key, all of one rate; bounded by forgetting the keys that were idle longest.
///
/// Two generations hold the buckets: when the younger is full it becomes the older, whose buckets go. A bucket in use
/// moves to the younger one, so that only idle ones are lost, and no step looks at more than one key.
final class TokenBuckets: Sendable {
    private struct Bucket {
        var tokens: Double
        var filledAt: Date
    }

    private struct State {
        var young: [String: Bucket] = [:]
        var old: [String: Bucket] = [:]
    }

    private let burst: Double
    private let refillPerSecond: Double
    private let maximumKeys: Int
    private let state = Mutex(State())

    init(burst: Double, refillPerSecond: Double, maximumKeys: Int) {
        self.burst = burst
        self.refillPerSecond = refillPerSecond
        self.maximumKeys = maximumKeys
    }

    /// Takes one token; false when there is none.
    func take(_ key: String, now: Date) -> Bool {
        state.withLock { state in
            var bucket = state.young[key] ?? state.old[key] ?? Bucket(tokens: burst, filledAt: now)
            // A clock that was set back refills nothing.
            let elapsed = max(0, now.timeIntervalSince(bucket.filledAt))
            bucket.tokens = min(burst, bucket.tokens + elapsed * refillPerSecond)
            bucket.filledAt = now
            let isThere = bucket.tokens >= 1
            if isThere { bucket.tokens -= 1 }
            if state.young.count >= max(1, maximumKeys / 2), state.young[key] == nil {
                state.old = state.young
                state.young = [:]
            }
            state.young[key] = bucket
            return isThere
        }
    }

    /// Buckets held now.
    var count: Int { state.withLock { $0.young.count + $0.old.count } }
}
