import Glibc

/// Hands open files to a process on this machine over a Unix socket (unix(7), `SCM_RIGHTS`).
enum DescriptorPassing {
    /// Sends open files with one byte.
    static func send(_ files: [Int32], over socket: Int32) throws(SandboxError) {
        var byte: UInt8 = 0
        let sent = withControl(count: files.count) { control, size -> Int in
            let header = control.assumingMemoryBound(to: cmsghdr.self)
            header.pointee.cmsg_len = headerSize + files.count * MemoryLayout<Int32>.size
            header.pointee.cmsg_level = SOL_SOCKET
            header.pointee.cmsg_type = Int32(SCM_RIGHTS)
            files.withUnsafeBytes { (control + headerSize).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            return withMessage(&byte, control, size) { sendmsg(socket, &$0, Int32(MSG_NOSIGNAL)) }
        }
        guard sent == 1 else { throw .lastFailure("the sandbox's init") }
    }

    /// Connects to a socket and takes what ``send(_:over:)`` sends: numbers above all that a program expects open.
    static func receive(
        from path: String, count: Int
    ) throws(SandboxError) -> (files: [Int32], socket: Int32) {
        let socket = try connect(path)
        do throws(SandboxError) { return (try take(count, from: socket), raised(socket)) } catch {
            close(socket)
            throw error
        }
    }

    /// Takes what ``send(_:over:)`` sent over a socket.
    static func take(_ count: Int, from socket: Int32) throws(SandboxError) -> [Int32] {
        var byte: UInt8 = 0
        var files: [Int32] = []
        let received = withControl(count: count) { control, size -> Int in
            let received = withMessage(&byte, control, size) { message in
                let received = recvmsg(socket, &message, Int32(MSG_CMSG_CLOEXEC))
                // Cut, when more was sent than there is room for.
                if message.msg_controllen < size { return -1 }
                return received
            }
            let header = control.assumingMemoryBound(to: cmsghdr.self).pointee
            guard received == 1, header.cmsg_level == SOL_SOCKET, header.cmsg_type == Int32(SCM_RIGHTS),
                header.cmsg_len == headerSize + count * MemoryLayout<Int32>.size
            else { return -1 }
            let numbers = UnsafeRawBufferPointer(start: control + headerSize, count: count * MemoryLayout<Int32>.size)
            files = Array(numbers.bindMemory(to: Int32.self))
            return 1
        }
        guard received == 1 else { throw .lastFailure("descriptors") }
        return files.map(raised)
    }

    /// The same file under a number that no program expects.
    private static func raised(_ file: Int32) -> Int32 {
        let copy = fcntl(file, F_DUPFD_CLOEXEC, 64)
        guard copy >= 0 else { return file }
        close(file)
        return copy
    }

    /// A listening socket at `name` in an open folder, whose own path may be of any length.
    static func listen(in folder: String, name: String) throws(SandboxError) -> Int32 {
        let place = open(folder, LinuxCalls.openPathOnly | O_DIRECTORY | O_CLOEXEC)
        guard place >= 0 else { throw .lastFailure(folder) }
        defer { close(place) }
        let socket = try makeSocket()
        let bound = try withAddress("/proc/self/fd/\(place)/\(name)") { bind(socket, $0, $1) }
        guard bound == 0, Glibc.listen(socket, 1) == 0 else {
            let failure = SandboxError.lastFailure("\(folder)/\(name)")
            close(socket)
            throw failure
        }
        return socket
    }

    static func connect(_ path: String) throws(SandboxError) -> Int32 {
        let socket = try makeSocket()
        let connected = try withAddress(path) { Glibc.connect(socket, $0, $1) }
        guard connected == 0 else {
            let failure = SandboxError.lastFailure(path)
            close(socket)
            throw failure
        }
        return socket
    }

    private static func makeSocket() throws(SandboxError) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .lastFailure("a socket") }
        return descriptor
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(SandboxError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8) + [0]
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard bytes.count <= capacity else { throw .system(what: path, reason: "longer than a socket's path may be") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// `CMSG_LEN(0)`; the header is as long as its alignment asks for.
    private static let headerSize = MemoryLayout<cmsghdr>.size

    private static func withControl(count: Int, _ body: (UnsafeMutableRawPointer, Int) -> Int) -> Int {
        // CMSG_SPACE: rounded up to the header's alignment.
        let size = headerSize + (count * MemoryLayout<Int32>.size + 7) / 8 * 8
        return withUnsafeTemporaryAllocation(byteCount: size, alignment: MemoryLayout<cmsghdr>.alignment) { buffer in
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            return body(buffer.baseAddress!, size)
        }
    }

    private static func withMessage(
        _ byte: inout UInt8, _ control: UnsafeMutableRawPointer, _ size: Int, _ body: (inout msghdr) -> Int
    ) -> Int {
        withUnsafeMutablePointer(to: &byte) { byte in
            var part = iovec(iov_base: byte, iov_len: 1)
            return withUnsafeMutablePointer(to: &part) { part in
                var message = msghdr()
                message.msg_iov = part
                message.msg_iovlen = 1
                message.msg_control = control
                message.msg_controllen = size
                return body(&message)
            }
        }
    }
}
