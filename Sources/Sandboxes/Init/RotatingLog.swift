import Glibc

/// The agent's output in two open files. A full one is copied to the other and cut, so that neither the
/// host's log folder nor a name in it is ever visible inside the sandbox.
struct RotatingLog: Sendable {
    /// Bytes of the current file before it is rotated; the two hold at most twice that.
    static let defaultLimit = 10 << 20

    let current: Int32
    let previous: Int32
    var limit = defaultLimit

    /// Reads a pipe to its end. What cannot be written is dropped: a full disk must not stop the agent.
    func copy(from pipe: Int32) {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var size = Int(lseek(current, 0, SEEK_END))
        while true {
            let count = read(pipe, &chunk, chunk.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            if size + count > limit {
                rotate(size)
                size = 0
            }
            if write(current, chunk, count) == count { size += count }
        }
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
}
