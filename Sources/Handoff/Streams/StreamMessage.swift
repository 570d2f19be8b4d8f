import MeshNode

/// One whole WebSocket message.
struct StreamMessage: Codable, Sendable, Equatable {
    let isText: Bool
    let data: WireBytes

    init(_ bytes: [UInt8], isText: Bool) {
        self.isText = isText
        data = WireBytes(bytes)
    }

    private enum CodingKeys: String, CodingKey {
        case isText = "t"
        case data = "d"
    }
}

/// One side of a stream: the client's socket, the agent's, or another peer's gate.
protocol StreamEnd: AnyObject, Sendable {
    /// Sends a message to whoever is at that end; never waits.
    func send(_ message: StreamMessage)
    /// Holds whoever is at that end back, or lets it go on.
    func setReading(_ isReading: Bool)
    /// Returns when everything sent before has arrived at that end.
    func settle() async
    /// Ends that side after what was sent.
    func close(code: Int, reason: String)
}
