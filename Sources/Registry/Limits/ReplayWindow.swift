import FoundationEssentials
import Synchronization

/// Remembers the signed requests of the last ten minutes, so that none is carried out twice.
///
/// A proof is good from 300 s before its time to 300 s after it, so a request can come again for 600 s. Two
/// generations of that length hold the digests; above the bound the older ones go early.
final class ReplayWindow: Sendable {
    static let length = 600.0

    private struct State {
        var young: Set<[UInt8]> = []
        var old: Set<[UInt8]> = []
        var startedAt: Date?
    }

    private let maximumRequests: Int
    private let state = Mutex(State())

    init(maximumRequests: Int) { self.maximumRequests = maximumRequests }

    /// Remembers a request's digest; false when it is known.
    func admit(_ digest: [UInt8], now: Date) -> Bool {
        state.withLock { state in
            let age = state.startedAt.map { now.timeIntervalSince($0) }
            if age == nil || age! >= Self.length || state.young.count >= max(1, maximumRequests / 2) {
                state.old = (age ?? 0) >= 2 * Self.length ? [] : state.young
                state.young = []
                state.startedAt = now
            }
            guard !state.old.contains(digest) else { return false }
            return state.young.insert(digest).inserted
        }
    }

    /// Lets a request come again, because it had no effect.
    func forget(_ digest: [UInt8]) {
        state.withLock {
            $0.young.remove(digest)
            $0.old.remove(digest)
        }
    }
}
