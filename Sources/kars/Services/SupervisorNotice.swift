import Glibc

/// Tells the program that supervises this one, such as systemd, how far it is (sd_notify(3)): a datagram to the socket
/// that `NOTIFY_SOCKET` names.
struct SupervisorNotice: Sendable {
    enum State: String, Sendable {
        /// It serves from now on.
        case ready = "READY=1\n"
        /// It drains and will end.
        case stopping = "STOPPING=1\n"
    }

    /// Nil where nobody wants to know.
    private let socket: String?

    /// - Parameter environment: that of the process.
    init(environment: [String: String]) {
        let name = environment["NOTIFY_SOCKET"] ?? ""
        // Other kinds, such as vsock, are for virtual machines.
        socket = name.hasPrefix("/") || name.hasPrefix("@") ? name : nil
    }

    /// Sends it, and does not wait: a supervisor that takes nothing holds no service up.
    ///
    /// - Returns: whether it was sent, or nobody wants to know.
    @discardableResult
    func send(_ state: State) -> Bool {
        guard let name = socket else { return true }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(name.utf8)
        let isAbstract = path[0] == UInt8(ascii: "@")
        // The name of an abstract socket starts with a zero and has no end but its length.
        if isAbstract { path[0] = 0 }
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.count < room else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let length = MemoryLayout<sockaddr_un>.size - room + path.count + (isAbstract ? 0 : 1)
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let text = Array(state.rawValue.utf8)
        let sent = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    descriptor, text, text.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), $0,
                    socklen_t(length))
            }
        }
        return sent == text.count
    }
}
