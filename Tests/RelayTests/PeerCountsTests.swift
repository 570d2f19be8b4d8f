import Testing

@testable import Relay

struct PeerCountsTests {
    @Test func aPeerHasAsManyPlacesAsItMay() {
        let counts = PeerCounts(limit: 2)
        let entered = (0..<3).map { _ in counts.enter("192.0.2.1") }
        #expect(entered == [true, true, false])
        #expect(counts.enter("192.0.2.2"))
        counts.leave("192.0.2.1")
        let again = (0..<2).map { _ in counts.enter("192.0.2.1") }
        #expect(again == [true, false])
    }

    @Test func oneCustomersNetworkIsOnePeer() {
        let counts = PeerCounts(limit: 1)
        #expect(counts.enter("2001:db8:1:2::1"))
        #expect(!counts.enter("2001:db8:1:2:ffff::9"))
        #expect(counts.enter("2001:db8:1:3::1"))
        #expect(counts.enter("::ffff:192.0.2.1"))
        #expect(!counts.enter("192.0.2.1"))
        #expect(counts.enter("fe80::1%eth0"))
        #expect(counts.enter("unknown"))
        #expect(!counts.enter("nonsense"))
    }

    @Test(arguments: ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"])
    func thisMachineIsNotCounted(_ address: String) {
        let counts = PeerCounts(limit: 0)
        #expect(counts.enter(address))
        counts.leave(address)
    }
}
