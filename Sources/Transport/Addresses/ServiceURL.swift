/// Where a service is called: an `http`, `https`, `ws` or `wss` URL, or a Unix socket.
public struct ServiceURL: Sendable, Hashable {
    /// The protocol spoken there.
    public enum Scheme: String, Sendable {
        case http, https, ws, wss

        var isSecure: Bool { self == .https || self == .wss }
        var defaultPort: Int { isSecure ? 443 : 80 }
    }

    /// What to connect to.
    public enum Place: Sendable, Hashable, CustomStringConvertible {
        case tcp(host: String, port: Int)
        case unix(path: String)

        public var description: String {
            switch self {
            case .tcp(let host, let port): "\(AddressText.bracketed(host)):\(port)"
            case .unix(let path): "unix:\(path)"
            }
        }
    }

    /// Longest URL read, in bytes.
    static let maximumBytes = 8192

    public var scheme: Scheme
    public var place: Place
    /// Path and query as sent in the request line; starts with "/".
    public var target: String

    /// Whether it is on this machine.
    public var isLoopback: Bool {
        switch place {
        case .tcp(let host, _): AddressText.isLoopback(host)
        case .unix: true
        }
    }

    /// Reads `scheme://host[:port][/path][?query]` or `unix:/path`.
    ///
    /// User names, passwords, fragments, spaces and control bytes are refused.
    /// - Throws: ``TransportError/invalidAddress(_:)``.
    public init(parsing text: String) throws(TransportError) {
        guard text.utf8.count <= Self.maximumBytes else { throw .invalidAddress("a URL this long") }
        if text.hasPrefix("unix:") {
            self.init(unixSocket: try AddressText.unixPath(text.dropFirst(5), in: text))
            return
        }
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")),
            let scheme = Scheme(rawValue: text[..<colon].lowercased()),
            text[colon...].hasPrefix("://")
        else { throw .invalidAddress(text) }
        let rest = text[text.utf8.index(colon, offsetBy: 3)...]
        let end =
            rest.utf8.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let (host, port) = try AddressText.hostAndPort(rest[..<end], in: text)
        let target = rest[end...]
        guard Self.isTarget(target) else { throw .invalidAddress(text) }
        self.init(
            scheme: scheme, place: .tcp(host: host, port: port ?? scheme.defaultPort),
            target: String(target))
    }

    /// A service on a Unix socket.
    public init(unixSocket path: String, scheme: Scheme = .http, target: String = "/") {
        self.init(scheme: scheme, place: .unix(path: path), target: target)
    }

    private init(scheme: Scheme, place: Place, target: String) {
        self.scheme = scheme
        self.place = place
        self.target = target.hasPrefix("/") ? target : "/" + target
    }

    /// The same place with `path` after the own one: `https://h/base` and `/v1/x` give `https://h/base/v1/x`.
    ///
    /// An own query is dropped; `path` may bring one.
    public func appending(path: String) -> ServiceURL {
        var base = target.prefix { $0 != "?" }
        while base.hasSuffix("/") { base.removeLast() }
        var result = self
        result.target = base + (path.hasPrefix("/") ? path : "/" + path)
        return result
    }

    /// Whether TLS protects it.
    public var isSecure: Bool { scheme.isSecure }

    /// Visible ASCII without a fragment.
    static func isTarget(_ text: some StringProtocol) -> Bool {
        text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "#") }
    }
}

extension ServiceURL: CustomStringConvertible {
    /// The form ``init(parsing:)`` reads; a Unix socket with a target of its own shows it after a space.
    public var description: String {
        switch place {
        case .tcp(let host, let port):
            let authority = AddressText.bracketed(host)
            return "\(scheme.rawValue)://\(authority)\(port == scheme.defaultPort ? "" : ":\(port)")\(target)"
        case .unix(let path):
            return target == "/" ? "unix:\(path)" : "unix:\(path) \(target)"
        }
    }
}
