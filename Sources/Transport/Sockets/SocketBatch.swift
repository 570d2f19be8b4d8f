import CWebSockets
import Glibc

/// Has the kernel send what several writes bring as few segments as it fits into.
///
/// Each write would otherwise go through the whole network stack by itself, which costs more than all else that is done
/// for a short message.
enum SocketBatch {
    /// Holds back what is written from now on; nil for sockets other than TCP, which gain nothing.
    static func begin(_ descriptor: Int32) -> Int32? {
        var on: Int32 = 1
        let status = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_CORK, &on, 4)
        return status == 0 ? descriptor : nil
    }

    /// Sends what was held back.
    static func end(_ descriptor: Int32) {
        var on: Int32 = 0
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_CORK, &on, 4)
    }
}
