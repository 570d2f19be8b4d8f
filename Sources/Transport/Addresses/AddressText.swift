/// The grammar shared by endpoints and URLs.
enum AddressText {
    /// Longest host name (RFC 1035 §2.3.4).
    static let maximumHostBytes = 253

    /// Splits `host`, `host:port` or `[v6]:port`; a host is never empty.
    static func hostAndPort(
        _ authority: Substring, in text: String
    ) throws(TransportError) -> (host: String, port: Int?) {
        let host: Substring
        let rest: Substring
        if authority.utf8.first == UInt8(ascii: "[") {
            guard let end = authority.utf8.firstIndex(of: UInt8(ascii: "]")) else {
                throw .invalidAddress(text)
            }
            host = authority[authority.index(after: authority.startIndex)..<end]
            rest = authority[authority.index(after: end)...]
            guard isIPv6(host) else { throw .invalidAddress(text) }
        } else {
            let end = authority.utf8.firstIndex(of: UInt8(ascii: ":")) ?? authority.endIndex
            host = authority[..<end]
            rest = authority[end...]
            guard isName(host) else { throw .invalidAddress(text) }
        }
        if rest.isEmpty { return (String(host), nil) }
        let digits = rest.utf8.dropFirst()
        guard rest.utf8.first == UInt8(ascii: ":"), (1...5).contains(digits.count),
            digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = Int(rest.dropFirst()), port <= 65_535
        else { throw .invalidAddress(text) }
        return (String(host), port)
    }

    /// An absolute path that fits into a Unix socket address.
    static func unixPath(_ path: Substring, in text: String) throws(TransportError) -> String {
        let bytes = path.utf8
        guard bytes.first == UInt8(ascii: "/"), bytes.count > 1,
            bytes.count <= Endpoint.maximumUnixPathBytes, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { throw .invalidAddress(text) }
        return String(path)
    }

    /// Whether the host names this machine alone.
    static func isLoopback(_ host: String) -> Bool {
        let name = host.lowercased()
        if name == "localhost" || name == "::1" || name == "0:0:0:0:0:0:0:1" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// The host as it stands in a URL or `Host` header.
    static func bracketed(_ host: String) -> String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    }

    private static func isName(_ host: Substring) -> Bool {
        (1...maximumHostBytes).contains(host.utf8.count)
            && host.utf8.first != UInt8(ascii: "-")
            && host.utf8.allSatisfy {
                switch $0 {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
                case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }

    private static func isIPv6(_ host: Substring) -> Bool {
        (2...45).contains(host.utf8.count) && host.utf8.contains(UInt8(ascii: ":"))
            && host.utf8.allSatisfy {
                switch $0 {
                case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
                case UInt8(ascii: ":"), UInt8(ascii: "."): true
                default: false
                }
            }
    }
}
