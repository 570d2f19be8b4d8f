import Glibc

/// One direction of a forwarded connection with what was read and not yet written.
struct ByteLane {
    private static let bytes = 64 << 10

    private var buffer: [UInt8] = []
    private var start = 0
    private var end = 0
    private var hasSeenEnd = false
    /// Whether everything was written and the end passed on.
    private(set) var isDone = false

    /// What the source must be watched for.
    var reading: Readiness { hasSeenEnd || start < end ? [] : .readable }
    /// What the sink must be watched for.
    var writing: Readiness { start < end ? .writable : [] }

    /// Moves bytes until one side has enough or all turns are used; false when a connection broke.
    mutating func carry(from source: Int32, to sink: Int32, turns: Int) -> Bool {
        if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: Self.bytes) }
        for _ in 0..<turns where !isDone {
            if start < end {
                let written = buffer.withUnsafeBytes {
                    send(sink, $0.baseAddress! + start, end - start, Int32(MSG_NOSIGNAL))
                }
                guard written >= 0 else { return Self.isTemporary }
                start += written
                continue
            }
            let count = buffer.withUnsafeMutableBytes { recv(source, $0.baseAddress, $0.count, 0) }
            guard count >= 0 else { return Self.isTemporary }
            (start, end) = (0, count)
            if count == 0 {
                hasSeenEnd = true
                isDone = true
                shutdown(sink, Int32(SHUT_WR))
            }
        }
        return true
    }

    private static var isTemporary: Bool { errno == EAGAIN || errno == EINTR }
}
