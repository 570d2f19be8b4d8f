/// How long the steps of something took.
struct StepTimes: Sendable {
    private(set) var milliseconds: [String: Double] = [:]
    private var last = ContinuousClock.now

    /// Notes the time since the step before.
    mutating func done(_ step: String) {
        let now = ContinuousClock.now
        milliseconds[step] = (now - last).milliseconds
        last = now
    }
}
