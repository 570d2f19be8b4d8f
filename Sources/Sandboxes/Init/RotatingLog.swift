import Glibc

/// The agent's output in two open files, each line behind the time it began (``LogStamp``). A full file is copied to
/// the other and cut, so that neither the host's log folder nor a name in it is ever visible inside the sandbox.
struct RotatingLog: Sendable {
    /// Bytes of the current file before it is rotated; the two hold at most twice that and ``longestSurplus``.
    static let defaultLimit = 10 << 20
    /// How far a file may grow beyond its limit so that a line stays whole; a longer one is broken there.
    static let longestSurplus = 64 << 10

    let current: Int32
    let previous: Int32
    var limit = defaultLimit
    /// Milliseconds since 1970, UTC.
    var clock: @Sendable () -> Int = RotatingLog.now

    private static let newline = UInt8(ascii: "\n")

    /// Reads a pipe to its end. What cannot be written is dropped: a full disk must not stop the agent.
    func copy(from pipe: Int32) {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var size = Int(lseek(current, 0, SEEK_END))
        // An agent that was killed left half a line, which the next one must not go on with.
        var isLineOpen = size > 0 && lastByte(size) != Self.newline
        if isLineOpen, append([Self.newline]) {
            size += 1
            isLineOpen = false
        }
        var text: [UInt8] = []
        while true {
            let count = read(pipe, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            let stamp = LogStamp.bytes(clock())
            var rest = chunk[..<count]
            while !rest.isEmpty {
                if size + text.count >= limit, !isLineOpen || size + text.count >= limit + Self.longestSurplus {
                    if isLineOpen { text.append(Self.newline) }
                    if append(text) { size += text.count }
                    text.removeAll(keepingCapacity: true)
                    rotate(size)
                    size = 0
                    isLineOpen = false
                }
                if !isLineOpen { text += stamp }
                let end = rest.firstIndex(of: Self.newline).map { $0 + 1 } ?? rest.endIndex
                text += rest[..<end]
                isLineOpen = rest[end - 1] != Self.newline
                rest = rest[end...]
            }
            if append(text) { size += text.count }
            text.removeAll(keepingCapacity: true)
        }
    }

    private func append(_ bytes: [UInt8]) -> Bool { write(current, bytes, bytes.count) == bytes.count }

    private func lastByte(_ size: Int) -> UInt8? {
        var byte: UInt8 = 0
        return pread(current, &byte, 1, off_t(size - 1)) == 1 ? byte : nil
    }

    private func rotate(_ size: Int) {
        guard ftruncate(previous, 0) == 0 else { return }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var offset = 0
        while offset < size {
            let count = pread(current, &chunk, chunk.count, offset)
            guard count > 0, pwrite(previous, chunk, count, offset) == count else { break }
            offset += count
        }
        _ = ftruncate(current, 0)
        lseek(current, 0, SEEK_SET)
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }
}
