import Glibc

/// Reads on in a log of two files: when the newer is full, the init copies it to the older and cuts it. So a position
/// beyond the end of the newer one lies in the older.
struct LogReader {
    /// Bytes of one piece.
    static let pieceBytes = 256 << 10

    let current: String
    let previous: String

    func part(from start: LogStart) -> LogPart {
        switch start {
        case .tail(let lines): return tail(lines, since: nil)
        case .since(let time, let lines): return tail(lines, since: time)
        case .after(let offset): return after(offset)
        }
    }

    private func tail(_ lines: Int, since: Int?) -> LogPart {
        // The end first: what comes meanwhile is then read by the next piece, and nothing twice.
        let end = Self.endOfLastLine(current)
        let found = LogTail.lines(lines, of: [(current, end), (previous, nil)], since: since)
        return LogPart(text: found.text, end: end, isCut: found.isCut)
    }

    private func after(_ offset: Int) -> LogPart {
        guard offset >= 0 else { return part(from: .tail(0)) }
        if offset <= Self.size(current) { return Self.lines(current, from: offset) }
        let rest = Self.lines(previous, from: offset)
        // Read to its end, the older file leads to the start of the newer one.
        return rest.end > offset && rest.end < Self.size(previous) ? rest : LogPart(text: rest.text, end: 0)
    }

    private static func lines(_ path: String, from offset: Int) -> LogPart {
        var bytes = read(path, from: offset, count: pieceBytes)
        if let last = bytes.lastIndex(of: UInt8(ascii: "\n")) {
            bytes.removeSubrange((last + 1)...)
        } else if bytes.count < pieceBytes {
            // A line that is being written is left for the next piece.
            return LogPart(text: "", end: offset)
        }
        return LogPart(text: String(decoding: bytes, as: UTF8.self), end: offset + bytes.count)
    }

    private static func endOfLastLine(_ path: String) -> Int {
        let size = size(path)
        let start = max(0, size - pieceBytes)
        let bytes = read(path, from: start, count: size - start)
        return bytes.lastIndex(of: UInt8(ascii: "\n")).map { start + $0 + 1 } ?? size
    }

    private static func size(_ path: String) -> Int {
        var facts = stat()
        return lstat(path, &facts) == 0 ? Int(facts.st_size) : 0
    }

    private static func read(_ path: String, from offset: Int, count: Int) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: max(0, count))
        var filled = 0
        while filled < bytes.count {
            let number = bytes.withUnsafeMutableBytes {
                pread(file, $0.baseAddress! + filled, $0.count - filled, off_t(offset + filled))
            }
            if number < 0, errno == EINTR { continue }
            guard number > 0 else { break }
            filled += number
        }
        bytes.removeSubrange(filled...)
        return bytes
    }
}
