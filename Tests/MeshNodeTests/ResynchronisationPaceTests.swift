import MeshIdentity
import Testing

@testable import MeshNode

struct ResynchronisationPaceTests {
    private let peer = Identity.generate().did

    @Test func anHourOfNonsenseMakesFewSessions() {
        var pace = ResynchronisationPace()
        let start = ContinuousClock.now
        var made = 0
        for second in 0..<3_600 {
            if pace.allows(peer, pause: .seconds(5), now: start + .seconds(second)) { made += 1 }
        }
        // 5, 10, 20, … 300 s: six doublings, then one in five minutes.
        #expect((12...20).contains(made), "\(made)")
    }

    @Test func aQuietPeerStartsFromAShortPauseAgain() {
        var pace = ResynchronisationPace()
        let start = ContinuousClock.now
        let allowed = [0, 4, 5, 1_000, 1_004, 1_005].filter {
            pace.allows(peer, pause: .seconds(5), now: start + .seconds($0))
        }
        #expect(allowed == [0, 5, 1_000, 1_005])
    }

    @Test func onePeersNonsenseCostsAnotherNothing() {
        var pace = ResynchronisationPace()
        let now = ContinuousClock.now
        let peers = [peer, peer, Identity.generate().did]
        #expect(peers.map { pace.allows($0, pause: .seconds(5), now: now) } == [true, false, true])
    }
}
