import MeshIdentity

/// Names a stream between two peers; chosen at random by the one that opens it.
struct StreamID: Hashable, Sendable, Codable {
    static let byteCount = 16

    let bytes: [UInt8]

    /// Nil unless there are ``byteCount`` bytes.
    init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    static func make() -> StreamID { StreamID(bytes: RandomBytes.make(byteCount))! }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = StreamID(bytes: try container.decode(WireBytes.self).bytes) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not the name of a stream")
        }
        self = id
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(WireBytes(bytes))
    }
}
