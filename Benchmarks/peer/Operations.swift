import MeshNode

/// Asks for nothing, so that the way there and back is all it costs.
struct Ping: PeerOperation {
    static let name = "bench.ping"
    static let access = OperationAccess.paired
    typealias Answer = Done
}

/// Sends so many bytes.
struct Flood: StreamOperation {
    static let name = "bench.flood"
    static let access = OperationAccess.paired
    var bytes: Int
    typealias Answer = StreamOpened

    /// Bytes that are handed to the stream at once.
    private static let chunk = [UInt8](repeating: 7, count: 256 << 10)

    /// The work of the side that is asked.
    static func work(_ request: Flood) -> StreamWork {
        { stream in
            var rest = request.bytes
            while rest > 0 {
                let chunk = rest >= chunk.count ? chunk : Array(chunk.prefix(rest))
                try await stream.send(StreamItem(.output, chunk))
                rest -= chunk.count
            }
            return StreamResult()
        }
    }
}
