/// A place to listen on: a TCP host and port, or a Unix socket.
public enum Endpoint: Sendable, Hashable {
    /// A TCP port of one host; port 0 lets the kernel pick.
    case tcp(host: String, port: Int)
    /// A Unix stream socket at this path.
    case unix(path: String)

    /// Longest path of a Unix socket in bytes (`sun_path` less its NUL).
    static let maximumUnixPathBytes = 107

    /// Reads `host:port`, `[v6]:port` or `unix:/path`.
    ///
    /// - Throws: ``TransportError/invalidAddress(_:)``.
    public init(parsing text: String) throws(TransportError) {
        if text.hasPrefix("unix:") {
            self = .unix(path: try AddressText.unixPath(text.dropFirst(5), in: text))
            return
        }
        let (host, port) = try AddressText.hostAndPort(Substring(text), in: text)
        guard let port else { throw .invalidAddress(text) }
        self = .tcp(host: host, port: port)
    }

    /// Whether only this machine can reach it; true for every Unix socket.
    public var isLoopback: Bool {
        switch self {
        case .unix: true
        case .tcp(let host, _): AddressText.isLoopback(host)
        }
    }

    /// The TCP port; nil for a Unix socket.
    public var port: Int? {
        switch self {
        case .unix: nil
        case .tcp(_, let port): port
        }
    }
}

extension Endpoint: CustomStringConvertible {
    /// The form ``init(parsing:)`` reads.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): "\(AddressText.bracketed(host)):\(port)"
        }
    }
}
