/// What has happened so far in a run.
struct LoadRecord {
    /// Reasons and examples kept; later ones count under one heading.
    private static let mostReasons = 20

    private var sent = 0
    private var answers = 0
    /// Of the load alone, not of what comes before and after it.
    private var latencies: [Duration] = []
    private var failures: [String: Int] = [:]
    private var repeats: [String: Int] = [:]
    private var lostMemory = 0
    private var lostExamples: [String] = []
    private var start: ContinuousClock.Instant?
    private var end: ContinuousClock.Instant?
    private var lastAnswer: ContinuousClock.Instant?
    private var longestGap = Duration.zero

    /// Notes a request.
    ///
    /// - Returns: its number, counted from 1.
    mutating func send() -> Int {
        sent += 1
        return sent
    }

    mutating func begin(at instant: ContinuousClock.Instant) {
        start = instant
        lastAnswer = instant
    }

    mutating func end(at instant: ContinuousClock.Instant) {
        end = instant
        noteGap(until: instant)
    }

    mutating func answered(
        due: ContinuousClock.Instant, at instant: ContinuousClock.Instant, forgot: String?
    ) {
        answers += 1
        if start != nil, end == nil {
            latencies.append(instant - due)
            noteGap(until: instant)
            lastAnswer = instant
        }
        guard let forgot else { return }
        lostMemory += 1
        if lostExamples.count < Self.mostReasons { lostExamples.append(forgot) }
    }

    mutating func failed(_ reason: String) { Self.count(reason, in: &failures) }

    /// Notes a request that failed and is made again.
    mutating func repeated(_ reason: String) { Self.count(reason, in: &repeats) }

    private static func count(_ reason: String, in reasons: inout [String: Int]) {
        let isKept = reasons[reason] != nil || reasons.count < mostReasons
        reasons[isKept ? reason : "other reasons", default: 0] += 1
    }

    func report(conversations: Int) -> LoadReport {
        let sorted = latencies.sorted()
        func milliseconds(_ share: Double) -> Double { Self.percentile(share, of: sorted).milliseconds }
        let duration = start.flatMap { start in end.map { $0 - start } } ?? .zero
        return LoadReport(
            sent: sent, answered: answers, failed: failures.values.reduce(0, +), failures: failures,
            repeated: repeats.values.reduce(0, +), repeats: repeats,
            lostMemory: lostMemory, lostMemoryExamples: lostExamples, conversations: conversations,
            latencyP50Milliseconds: milliseconds(0.5), latencyP99Milliseconds: milliseconds(0.99),
            latencyMaxMilliseconds: milliseconds(1), longestGapMilliseconds: longestGap.milliseconds,
            durationSeconds: (duration.milliseconds).rounded() / 1000)
    }

    /// The smallest value that the share of all values does not exceed; zero when there are none.
    static func percentile(_ share: Double, of sorted: [Duration]) -> Duration {
        guard !sorted.isEmpty else { return .zero }
        let rank = Int((share * Double(sorted.count)).rounded(.up))
        return sorted[min(max(rank, 1), sorted.count) - 1]
    }

    private mutating func noteGap(until instant: ContinuousClock.Instant) {
        if let lastAnswer { longestGap = max(longestGap, instant - lastAnswer) }
    }
}

extension Duration {
    /// In thousandths of a second, to a thousandth of one.
    var milliseconds: Double {
        let exact = Double(components.seconds) * 1e3 + Double(components.attoseconds) * 1e-15
        return (exact * 1e3).rounded() / 1e3
    }
}
