import Foundation
import MeshIdentity
import TestSupport
import Testing

@testable import Registry

struct LimitsTests {
    let start = Date(timeIntervalSince1970: 1_800_000_000)

    @Test func aBucketRefillsWithTimeAndNoFurtherThanItsBurst() {
        let buckets = TokenBuckets(burst: 2, refillPerSecond: 0.5, maximumKeys: 10)
        #expect(buckets.take("a", now: start))
        #expect(buckets.take("a", now: start))
        #expect(!buckets.take("a", now: start))
        #expect(!buckets.take("a", now: start.addingTimeInterval(1.9)))
        #expect(buckets.take("a", now: start.addingTimeInterval(3)))
        #expect(!buckets.take("a", now: start.addingTimeInterval(-1000)))
        let later = start.addingTimeInterval(1e6)
        #expect(buckets.take("a", now: later))
        #expect(buckets.take("a", now: later))
        #expect(!buckets.take("a", now: later))
    }

    @Test func manyAddressesCostBoundedMemoryAndKeepTheBusyOnes() {
        let buckets = TokenBuckets(burst: 1, refillPerSecond: 0, maximumKeys: 100)
        #expect(buckets.take("busy", now: start))
        for number in 0..<10_000 {
            _ = buckets.take("idle-\(number)", now: start)
            #expect(!buckets.take("busy", now: start))
        }
        #expect(buckets.count <= 101)
    }

    @Test func aRequestIsKnownForAtLeastTenMinutes() {
        let window = ReplayWindow(maximumRequests: 100)
        var random = SeededRandom(seed: 3)
        var sent: [(digest: [UInt8], at: Double)] = []
        for second in stride(from: 0.0, to: 3600, by: 45) {
            let digest = random.bytes(32)
            #expect(window.admit(digest, now: start.addingTimeInterval(second)))
            sent.append((digest, second))
            for old in sent where second - old.at <= 600 {
                #expect(!window.admit(old.digest, now: start.addingTimeInterval(second)))
            }
        }
        let forgotten = random.bytes(32)
        let end = start.addingTimeInterval(7200)
        #expect(window.admit(forgotten, now: end))
        window.forget(forgotten)
        #expect(window.admit(forgotten, now: end))
    }

    @Test func aClockThatIsSetForgetsNoRequestAndGivesNoRate() {
        let window = ReplayWindow(maximumRequests: 100)
        let digest: [UInt8] = [1]
        #expect(window.admit(digest, now: start))
        for jump in [-86_400.0, -3600, -1, 0, 599] {
            #expect(!window.admit(digest, now: start.addingTimeInterval(jump)))
            #expect(window.admit([2, UInt8(truncatingIfNeeded: Int(jump))], now: start.addingTimeInterval(jump)))
        }
        let buckets = TokenBuckets(burst: 2, refillPerSecond: 1, maximumKeys: 10)
        for _ in 0..<2 { #expect(buckets.take("a", now: start)) }
        // Back by a day: nothing is refilled at once, and from there it goes on as time does.
        let back = start.addingTimeInterval(-86_400)
        #expect(!buckets.take("a", now: back))
        #expect(buckets.take("a", now: back.addingTimeInterval(1)))
        #expect(!buckets.take("a", now: back.addingTimeInterval(1)))
        // Forward by a day: a burst, once.
        for _ in 0..<2 { #expect(buckets.take("a", now: start)) }
        #expect(!buckets.take("a", now: start))
    }

    @Test func addressesOfOneHostShareAKey() {
        #expect(AddressKey.make("192.0.2.1") == "192.0.2.1")
        #expect(AddressKey.make("::ffff:192.0.2.1") == "192.0.2.1")
        #expect(AddressKey.make("::1") == "127.0.0.1")
        #expect(AddressKey.make("2001:db8::1") == AddressKey.make("2001:db8::ffff"))
        #expect(AddressKey.make("2001:db8:0:1::1") != AddressKey.make("2001:db8:0:2::1"))
        #expect(AddressKey.make("fe80::1%eth0") == AddressKey.make("fe80::2"))
        #expect(AddressKey.make("unix") == "unix")
        #expect(AddressKey.make("a:b") == "a:b")
    }
}
