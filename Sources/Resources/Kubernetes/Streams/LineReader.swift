import Transport

/// Cuts a body into lines.
struct LineReader {
    private var pieces: HTTPBodyReader.AsyncIterator
    private var buffer: [UInt8] = []
    private var start = 0
    /// Up to where no line ends.
    private var searched = 0
    private let maximumLineBytes: Int

    init(_ body: HTTPBodyReader, maximumLineBytes: Int) {
        pieces = body.makeAsyncIterator()
        self.maximumLineBytes = maximumLineBytes
    }

    /// The next line without its end; nil after the last. What comes after that without an end is part of a broken
    /// line, and dropped.
    ///
    /// - Throws: ``TransportError/tooLarge(limit:)`` for a longer line, or what broke the body.
    mutating func next(
        isolation actor: isolated (any Actor)? = #isolation
    ) async throws(TransportError) -> [UInt8]? {
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer {
                    start = end + 1
                    searched = start
                }
                return Array(buffer[start..<end])
            }
            if start > 0 {
                buffer.removeFirst(start)
                start = 0
            }
            searched = buffer.count
            guard buffer.count <= maximumLineBytes else { throw .tooLarge(limit: maximumLineBytes) }
            guard let piece = try await pieces.next(isolation: actor) else { return nil }
            buffer += piece
        }
    }
}
