/// Where a client connects to, resolved, with the name it announces.
struct ClientPlace: Sendable {
    /// In the library's notation: a numeric address, or "+path" for a Unix socket; tried in order.
    let addresses: [String]
    let port: Int
    /// For the `Host` field, SNI and the check of the certificate.
    let host: String
    let isUnix: Bool
    /// For messages.
    let description: String

    /// The library keeps 127 bytes of a host name with its port.
    private static let maximumHostBytes = 120
    /// The library writes request lines of at most 2 KiB and cuts longer ones.
    private static let maximumTargetBytes = 2000

    /// Asks the name server off the loop.
    ///
    /// - Throws: ``TransportError/cannotConnect(_:_:)``, ``TransportError/invalidAddress(_:)`` or
    ///   ``TransportError/tooLarge(limit:)``.
    static func resolve(_ url: ServiceURL) async throws(TransportError) -> ClientPlace {
        guard url.target.utf8.count <= maximumTargetBytes else {
            throw .tooLarge(limit: maximumTargetBytes)
        }
        guard ServiceURL.isTarget(url.target) else { throw .invalidAddress(url.description) }
        switch url.place {
        case .unix(let path):
            guard !url.isSecure, (1...Endpoint.maximumUnixPathBytes).contains(path.utf8.count) else {
                throw .invalidAddress(url.description)
            }
            return ClientPlace(
                addresses: ["+" + path], port: 0, host: "localhost", isUnix: true,
                description: url.place.description)
        case .tcp(let host, let port):
            guard host.utf8.count <= maximumHostBytes, (1...65_535).contains(port) else {
                throw .invalidAddress(url.description)
            }
            // The library takes the name for the certificate to end at the first colon.
            guard !(url.isSecure && host.utf8.contains(UInt8(ascii: ":"))) else {
                throw .tls("a certificate for the literal IPv6 address \(host) cannot be checked")
            }
            let addresses = try await BlockingWork.run { () throws(TransportError) in
                try SocketAddress.resolve(host: host, port: port, forListening: false).map(\.host)
            }
            let name = AddressText.bracketed(host)
            return ClientPlace(
                addresses: addresses, port: port,
                host: port == url.scheme.defaultPort ? name : "\(name):\(port)", isUnix: false,
                description: url.place.description)
        }
    }
}
