import MeshIdentity

/// How often fresh sessions are made after messages that would not open (AgentMesh wire §6): at most one per
/// pause with a peer, and the pause doubles while it keeps happening, so that nobody can make two peers shake
/// hands for ever.
struct ResynchronisationPace: Sendable {
    private struct Entry: Sendable {
        var last: ContinuousClock.Instant
        var pause: Duration
    }

    /// Peers remembered; the one longest ago gives way.
    static let maximumPeers = 10_000
    static let longestPause = Duration.seconds(300)

    private var entries: [DID: Entry] = [:]

    /// Whether a fresh session may be made now; that counts as one made.
    mutating func allows(_ peer: DID, pause: Duration, now: ContinuousClock.Instant = .now) -> Bool {
        var next = pause
        if let entry = entries[peer] {
            guard now - entry.last >= entry.pause else { return false }
            if now - entry.last < entry.pause * 4 { next = min(entry.pause * 2, Self.longestPause) }
        } else if entries.count >= Self.maximumPeers, let oldest = entries.min(by: { $0.value.last < $1.value.last }) {
            entries[oldest.key] = nil
        }
        entries[peer] = Entry(last: now, pause: next)
        return true
    }
}
