/// A whole request as a server received it.
public struct HTTPRequest: Sendable {
    public let method: String
    /// The percent-encoded path without query; starts with "/".
    public let path: String
    /// What stood after "?", undecoded; nil without "?".
    public let query: String?
    public let headers: HTTPHeaders
    public let body: [UInt8]
    /// The peer's address; "unix" on a Unix socket.
    public let remoteAddress: String

    public init(
        method: String = "GET", path: String, query: String? = nil, headers: HTTPHeaders = [:],
        body: [UInt8] = [], remoteAddress: String = "127.0.0.1"
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.remoteAddress = remoteAddress
    }

    /// The first value of a query parameter, decoded; nil when absent or not UTF-8.
    public func queryValue(_ name: String) -> String? {
        query.flatMap { QueryText.value(of: name, in: $0) }
    }
}

/// Query strings as forms write them (`a=1&b=two+words`).
enum QueryText {
    static func value(of name: String, in query: String) -> String? {
        for pair in query.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard decoded(parts[0]) == name else { continue }
            return parts.count == 2 ? decoded(parts[1]) : ""
        }
        return nil
    }

    /// Decodes "+" and "%XX"; nil when malformed or not UTF-8.
    static func decoded(_ text: Substring.UTF8View) -> String? {
        var bytes: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(nibble), let low = rest.popFirst().flatMap(nibble)
                else { return nil }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func nibble(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
