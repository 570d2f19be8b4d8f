import Glibc

/// A resolved address of the kernel's kind.
struct SocketAddress: Sendable {
    private let bytes: [UInt8]

    var family: Int32 { withPointer { pointer, _ in Int32(pointer.pointee.sa_family) } }

    /// The address of a Unix socket.
    init(unixPath path: String) throws(TransportError) {
        guard !path.isEmpty, path.utf8.count <= Endpoint.maximumUnixPathBytes else {
            throw .invalidAddress("unix:\(path)")
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        bytes = withUnsafeBytes(of: address) { Array($0) }
    }

    init(copying pointer: UnsafePointer<sockaddr>, length: socklen_t) {
        bytes = Array(UnsafeRawBufferPointer(start: pointer, count: Int(length)))
    }

    /// Every address of a host. Blocks while a name server is asked: never on a loop.
    static func resolve(
        host: String, port: Int, forListening: Bool
    ) throws(TransportError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (forListening ? AI_PASSIVE : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard status == 0 else {
            let place = Endpoint.tcp(host: host, port: port).description
            let cause = String(cString: gai_strerror(status))
            throw forListening ? .cannotListen(place, cause) : .cannotConnect(place, cause)
        }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            addresses.append(SocketAddress(copying: entry.ai_addr, length: entry.ai_addrlen))
            next = entry.ai_next
        }
        return addresses
    }

    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        bytes.withUnsafeBytes { body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count)) }
    }

    /// The numeric host; "unix" for a Unix socket.
    var host: String {
        if family == AF_UNIX { return "unix" }
        var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let status = withPointer {
            getnameinfo($0, $1, &buffer, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
        }
        guard status == 0 else { return "unknown" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func localPort(of descriptor: Int32) -> Int? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard status == 0 else { return nil }
        return withUnsafeBytes(of: storage) { bytes -> Int? in
            switch Int32(storage.ss_family) {
            case AF_INET: Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            case AF_INET6: Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            default: nil
            }
        }
    }

    static func lastError() -> String { String(cString: strerror(errno)) }
}
