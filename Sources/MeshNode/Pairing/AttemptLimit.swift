/// How often a peer may try to redeem a token: guessing 256 random bits is hopeless, but a stranger shall not
/// keep the disk busy either.
struct AttemptLimit: Sendable {
    private static let perPeer = 5
    private static let overall = 60
    private static let window = Duration.seconds(60)

    private var times: [(peer: PeerIdentity, at: ContinuousClock.Instant)] = []

    mutating func allows(_ peer: PeerIdentity, at now: ContinuousClock.Instant) -> Bool {
        times.removeAll { now - $0.at > Self.window }
        guard times.count < Self.overall, times.count(where: { $0.peer == peer }) < Self.perPeer else {
            return false
        }
        times.append((peer, now))
        return true
    }
}
