import Glibc

/// The end of a log that is cut into files.
enum LogTail {
    /// Bytes read at most, however long lines are.
    static let maximumBytes = 1 << 20

    /// - Parameter files: newest first.
    static func lines(_ count: Int, of files: [String]) -> String { lines(count, of: files.map { ($0, nil) }) }

    /// - Parameter files: newest first, each perhaps only up to an offset.
    static func lines(_ count: Int, of files: [(path: String, end: Int?)]) -> String {
        var text: [UInt8] = []
        for (file, end) in files where text.count < maximumBytes {
            text = tail(of: file, upTo: end, limit: maximumBytes - text.count) + text
        }
        if text.last == UInt8(ascii: "\n") { text.removeLast() }
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard !text.isEmpty else { return "" }
        return lines.suffix(max(0, count)).map { String(decoding: $0, as: UTF8.self) + "\n" }.joined()
    }

    private static func tail(of path: String, upTo end: Int?, limit: Int) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return [] }
        defer { close(file) }
        let size = min(Int(lseek(file, 0, SEEK_END)), end ?? .max)
        var bytes = [UInt8](repeating: 0, count: min(max(0, size), limit))
        let count = pread(file, &bytes, bytes.count, off_t(max(0, size - bytes.count)))
        return Array(bytes[..<max(0, count)])
    }
}
