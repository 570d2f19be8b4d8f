/// Counts messages and their delays; used on the clients' loop alone.
// @unchecked Sendable: every member is touched on the one loop of the clients; others only carry it there.
final class Meter: @unchecked Sendable {
    private(set) var messages = 0
    private var isRunning = false
    /// Delays in classes of 5 % width, from 1 µs up.
    private var classes = [Int](repeating: 0, count: 400)

    func start() {
        messages = 0
        classes = [Int](repeating: 0, count: classes.count)
        isRunning = true
    }

    func stop() { isRunning = false }

    func record(_ delay: Duration) {
        guard isRunning else { return }
        messages += 1
        var value = max(1, delay / .microseconds(1))
        var index = 0
        // 1.05^16 = 2.1829.
        while value > 2.1829 {
            value /= 2.1829
            index += 16
        }
        while value > 1.05 {
            value /= 1.05
            index += 1
        }
        classes[min(index, classes.count - 1)] += 1
    }

    /// The delay in microseconds that a part of all messages stays below.
    func percentile(_ part: Double) -> Double {
        let rank = Int(Double(messages) * part)
        var seen = 0
        var value = 1.0
        for count in classes {
            value *= 1.05
            seen += count
            if seen > rank { return value }
        }
        return value
    }
}
