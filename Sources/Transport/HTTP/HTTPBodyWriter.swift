/// The writing end of a streamed answer.
public final class HTTPBodyWriter: Sendable {
    private let sink: @Sendable ([UInt8]) async throws(TransportError) -> Void

    init(sink: @escaping @Sendable ([UInt8]) async throws(TransportError) -> Void) {
        self.sink = sink
    }

    /// Sends bytes in order; suspends while too much waits to be carried away.
    ///
    /// - Throws: ``TransportError/closed`` when the client went away.
    public func write(_ bytes: [UInt8]) async throws(TransportError) {
        guard !bytes.isEmpty else { return }
        try await sink(bytes)
    }
}
