import Glibc

/// A bound and listening descriptor with what must be undone.
struct ListeningSocket {
    let descriptor: Int32
    /// With the port the kernel picked.
    let endpoint: Endpoint

    private static let backlog: Int32 = 4096

    /// Binds and listens. Resolving a host name may block: never on a loop.
    ///
    /// A Unix socket file left by a dead process is replaced; one somebody answers on is not.
    static func open(_ endpoint: Endpoint) throws(TransportError) -> ListeningSocket {
        switch endpoint {
        case .tcp(let host, let port):
            guard let address = try SocketAddress.resolve(host: host, port: port, forListening: true).first
            else { throw .cannotListen("\(endpoint)", "the host has no address") }
            let descriptor = try bind(address, at: endpoint)
            return ListeningSocket(
                descriptor: descriptor,
                endpoint: .tcp(host: host, port: SocketAddress.localPort(of: descriptor) ?? port))
        case .unix(let path):
            let address = try SocketAddress(unixPath: path)
            removeStaleFile(path, address)
            // The mask is the process's: the mode is narrowed right after as well.
            let mask = umask(0o177)
            defer { umask(mask) }
            let descriptor = try bind(address, at: endpoint)
            chmod(path, 0o600)
            return ListeningSocket(descriptor: descriptor, endpoint: endpoint)
        }
    }

    /// Removes the file of a Unix socket this process listened on.
    func removeFile() {
        if case .unix(let path) = endpoint { unlink(path) }
    }

    private static func bind(
        _ address: SocketAddress, at endpoint: Endpoint
    ) throws(TransportError) -> Int32 {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.family, flags, 0)
        guard descriptor >= 0 else { throw .cannotListen("\(endpoint)", SocketAddress.lastError()) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        if address.family == AF_INET6 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, 4) }
        guard address.withPointer({ Glibc.bind(descriptor, $0, $1) }) == 0,
            listen(descriptor, backlog) == 0
        else {
            let cause = SocketAddress.lastError()
            close(descriptor)
            throw .cannotListen("\(endpoint)", cause)
        }
        return descriptor
    }

    private static func removeStaleFile(_ path: String, _ address: SocketAddress) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard probe >= 0 else { return }
        defer { close(probe) }
        if address.withPointer({ connect(probe, $0, $1) }) != 0, errno == ECONNREFUSED { unlink(path) }
    }
}
