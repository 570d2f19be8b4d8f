import Glibc

/// The end of a log that is cut into files.
enum LogTail {
    /// Bytes read at most, however long lines are.
    static let maximumBytes = 1 << 20

    /// - Parameter files: newest first.
    static func lines(_ count: Int, of files: [String]) -> String {
        lines(count, of: files.map { ($0, nil) }, since: nil).text
    }

    /// - Parameters:
    ///   - count: lines at most.
    ///   - files: newest first, each perhaps only up to an offset.
    ///   - since: milliseconds since 1970; what is older is left out.
    /// - Returns: the lines as they are stored, and whether older ones were left out that were asked for too.
    static func lines(
        _ count: Int, of files: [(path: String, end: Int?)], since: Int?
    ) -> (text: String, isCut: Bool) {
        var text: [UInt8] = []
        var isTorn = false
        for (file, end) in files where text.count < maximumBytes {
            let piece = tail(of: file, upTo: end, limit: maximumBytes - text.count)
            text = piece.bytes + text
            isTorn = piece.isTorn
        }
        guard !text.isEmpty else { return ("", false) }
        if text.last == UInt8(ascii: "\n") { text.removeLast() }
        var lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
        // The rest of a line without its beginning, unless it is all there is.
        if isTorn, lines.count > 1 { lines.removeFirst() }
        if let since {
            let found = begin(since, in: lines, lastChange: files.compactMap { lastChange($0.path) }.max())
            // Were the first of them older, what lies before it would be too.
            isTorn = isTorn && found == lines.startIndex
            lines = lines[found...]
        }
        let isCut = since != nil && (isTorn || lines.count > count)
        return (lines.suffix(max(0, count)).map { String(decoding: $0, as: UTF8.self) + "\n" }.joined(), isCut)
    }

    /// The first line that is not older than a time; the end where all are.
    private static func begin(_ since: Int, in lines: ArraySlice<ArraySlice<UInt8>>, lastChange: Int?) -> Int {
        var hasTimes = false
        for (index, line) in zip(lines.indices, lines) {
            guard let time = LogStamp.parse(line) else { continue }
            if time >= since { return index }
            hasTimes = true
        }
        return !hasTimes && (lastChange ?? .min) >= since ? lines.startIndex : lines.endIndex
    }

    /// Milliseconds since 1970.
    private static func lastChange(_ path: String) -> Int? {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return nil }
        return facts.st_mtim.tv_sec * 1000 + facts.st_mtim.tv_nsec / 1_000_000
    }

    private static func tail(of path: String, upTo end: Int?, limit: Int) -> (bytes: ArraySlice<UInt8>, isTorn: Bool) {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return ([], false) }
        defer { close(file) }
        let size = min(Int(lseek(file, 0, SEEK_END)), end ?? .max)
        var bytes = [UInt8](repeating: 0, count: min(max(0, size), limit))
        let count = pread(file, &bytes, bytes.count, off_t(max(0, size - bytes.count)))
        return (bytes[..<max(0, count)], size > bytes.count)
    }
}
