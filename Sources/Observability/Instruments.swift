import Synchronization

/// A count that only grows.
public final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    public var value: Int { count.load(ordering: .relaxed) }
    public func add(_ amount: Int = 1) { count.add(amount, ordering: .relaxed) }
}

/// A number that goes up and down.
public final class Gauge: Sendable {
    private let level = Atomic<Int>(0)
    public var value: Int { level.load(ordering: .relaxed) }
    public func set(_ value: Int) { level.store(value, ordering: .relaxed) }
    public func add(_ amount: Int) { level.add(amount, ordering: .relaxed) }
}

/// Observations sorted into buckets, each bound inclusive.
public final class Histogram: Sendable {
    struct State {
        var counts: [Int]
        var sum = 0.0
    }

    let bounds: [Double]
    let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    public func observe(_ value: Double) {
        let index = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock {
            $0.counts[index] += 1
            $0.sum += value
        }
    }
}
