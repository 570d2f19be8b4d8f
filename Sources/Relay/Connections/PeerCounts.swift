import Glibc
import Synchronization

/// How many connections each peer has, so that one of them does not take all places.
final class PeerCounts: Sendable {
    /// What counts as one peer: an IPv4 address, or the 64 bits of IPv6 that one customer is given.
    enum Peer: Hashable {
        case v4(UInt32)
        case v6(UInt64)
        /// Nothing this machine's kernel prints.
        case other

        /// nil for whoever sits on this machine and is not counted.
        init?(_ address: String) {
            if address == "unix" { return nil }
            var four = in_addr()
            if inet_pton(AF_INET, address, &four) == 1 {
                self.init(four: UInt32(bigEndian: four.s_addr))
                return
            }
            var six = in6_addr()
            // Link-local addresses come with the name of an interface.
            guard inet_pton(AF_INET6, String(address.prefix { $0 != "%" }), &six) == 1 else {
                self = .other
                return
            }
            let words = withUnsafeBytes(of: &six) {
                ($0.loadUnaligned(fromByteOffset: 0, as: UInt64.self).bigEndian,
                 $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self).bigEndian)
            }
            if words == (0, 1) { return nil }
            if words.0 == 0, words.1 >> 32 == 0xFFFF {
                self.init(four: UInt32(truncatingIfNeeded: words.1))
            } else {
                self = .v6(words.0)
            }
        }

        private init?(four: UInt32) {
            if four >> 24 == 127 { return nil }
            self = .v4(four)
        }
    }

    private let limit: Int
    /// Guards the counts; held for one look-up.
    private let counts = Mutex<[Peer: Int]>([:])

    init(limit: Int) { self.limit = limit }

    /// Counts a connection; false when its peer has as many as it may, and then it is not counted.
    func enter(_ address: String) -> Bool {
        guard let peer = Peer(address) else { return true }
        return counts.withLock { counts in
            guard counts[peer, default: 0] < limit else { return false }
            counts[peer, default: 0] += 1
            return true
        }
    }

    /// Ends what ``enter(_:)`` counted.
    func leave(_ address: String) {
        guard let peer = Peer(address) else { return }
        counts.withLock { counts in
            guard let count = counts[peer] else { return }
            counts[peer] = count > 1 ? count - 1 : nil
        }
    }
}
