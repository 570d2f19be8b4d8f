import Synchronization

/// What each address may still begin without having proven a key: connections and HTTP requests.
///
/// A connection is paid for when it arrives and is given back when its key is proven, so what is used up are failures
/// and what is under way. Two generations of addresses hold the budgets: when the younger is full it becomes the older,
/// whose addresses go. An address in use moves to the younger one, so that only idle ones are forgotten, and no step
/// looks at more than one.
final class StrangerBudget: Sendable {
    private struct State {
        var young: [PeerCounts.Peer: TokenBucket] = [:]
        var old: [PeerCounts.Peer: TokenBucket] = [:]
    }

    private let perMinute: Double
    private let addresses: Int
    private let exemptsLoopback: Bool
    /// Guards the budgets; held for one look-up.
    private let state = Mutex(State())

    /// - Parameters:
    ///   - perMinute: things an address may begin a minute, and at once.
    ///   - addresses: most addresses remembered.
    init(perMinute: Int, addresses: Int, exemptsLoopback: Bool = true) {
        self.perMinute = Double(perMinute)
        self.addresses = addresses
        self.exemptsLoopback = exemptsLoopback
    }

    /// Takes one thing from an address's budget; false when there is none left.
    func take(_ address: String, now: ContinuousClock.Instant = .now) -> Bool {
        change(address, now) { $0.take(1, now: now) } ?? true
    }

    /// Gives one back that led to a proven key, or failed for a reason of ours.
    func giveBack(_ address: String, now: ContinuousClock.Instant = .now) {
        _ = change(address, now) { $0.use(-1, now: now) }
    }

    /// Addresses remembered now.
    var count: Int { state.withLock { $0.young.count + $0.old.count } }

    /// nil for addresses without a budget.
    private func change<Result>(
        _ address: String, _ now: ContinuousClock.Instant, _ body: (inout TokenBucket) -> Result
    ) -> Result? {
        guard let peer = PeerCounts.Peer(address) ?? (exemptsLoopback ? nil : .other) else { return nil }
        return state.withLock { state in
            var bucket = state.young[peer] ?? state.old[peer]
                ?? TokenBucket(rate: perMinute / 60, burst: perMinute, now: now)
            defer {
                if state.young.count >= max(1, addresses / 2), state.young[peer] == nil {
                    state.old = state.young
                    state.young = [:]
                }
                state.young[peer] = bucket
            }
            return body(&bucket)
        }
    }
}
