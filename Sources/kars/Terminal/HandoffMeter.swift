import MeshNode

/// How fast a move is, from one look to the next.
struct HandoffMeter {
    private var first: (bytes: Int, at: ContinuousClock.Instant)?
    /// Bytes a second over the present round; nil before anything moved.
    private(set) var rate: Double?
    private var round: Int?

    mutating func note(_ progress: HandoffProgress, at now: ContinuousClock.Instant = .now) {
        if round != progress.round || first == nil {
            round = progress.round
            first = (progress.movedBytes, now)
            rate = nil
            return
        }
        guard let first, progress.movedBytes > first.bytes else { return }
        rate = Double(progress.movedBytes - first.bytes) / max(0.001, (now - first.at) / .seconds(1))
    }

    /// One line on how far the present round is; nil while there is nothing to say.
    func line(_ progress: HandoffProgress) -> String? {
        guard progress.phase == .copying, let round = progress.round, let all = progress.roundBytes, all > 0,
            let moved = progress.roundMovedBytes
        else { return nil }
        var line = "round \(round): \(HandoffText.size(moved)) of \(HandoffText.size(all))"
        if let rate, rate > 0 {
            line += ", \(HandoffText.size(Int(rate)))/s"
            let left = Double(max(0, all - moved)) / rate
            if left >= 1, left < 86_400 { line += ", \(Int(left.rounded(.up))) s left" }
        }
        return line
    }
}
