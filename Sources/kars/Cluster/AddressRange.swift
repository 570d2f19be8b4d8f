import CommandTree
import Glibc

/// A range of addresses as `--allow-ip` takes it: `203.0.113.7`, `203.0.113.0/24`, `2001:db8::/32` (RFC 4632, RFC 4291).
struct AddressRange: Equatable, CustomStringConvertible {
    /// With the length of its prefix.
    let description: String
    let isEverything: Bool

    /// - Returns: nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let (bytes, display) = Self.address(parts[0]) else { return nil }
        let bits = bytes.count * 8
        var length = bits
        if parts.count == 2 {
            guard let given = Int(parts[1]), String(given) == parts[1], (0...bits).contains(given) else { return nil }
            length = given
        }
        // A range that names a host in it is a slip of somebody.
        for bit in length..<max(length, bits) where bytes[bit / 8] & (0x80 >> (bit % 8)) != 0 { return nil }
        description = "\(display)/\(length)"
        isEverything = length == 0
    }

    private static func address(_ text: String) -> (bytes: [UInt8], display: String)? {
        for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: count)
            guard inet_pton(family, text, &bytes) == 1 else { continue }
            var name = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
            guard inet_ntop(family, bytes, &name, socklen_t(name.count)) != nil else { return nil }
            return (bytes, String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        return nil
    }

    /// What the option says, ranges parted by commas; nil when it was not given.
    static func read(_ invocation: Invocation) throws(UsageError) -> [AddressRange]? {
        guard let text = invocation.value("allow-ip") else { return nil }
        var ranges: [AddressRange] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
            let word = String(word).trimmingWhitespace
            guard let range = AddressRange(word) else {
                throw .refused("--allow-ip: \(word) is no address, and no range such as 203.0.113.0/24")
            }
            ranges.append(range)
        }
        return ranges
    }
}
