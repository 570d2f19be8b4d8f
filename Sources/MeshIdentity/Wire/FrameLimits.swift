/// Bounds on the parts of a frame, in bytes.
enum FrameLimits {
    static let name = 256
    static let identifier = 128
    static let timestamp = 64
    static let reason = 1024
    static let signature = 128
}

extension KeyedDecodingContainer {
    /// Refuses a frame of another type or protocol version.
    func checkType(_ type: String, _ key: Key) throws {
        guard try decodeText(key, limit: 64) == type else {
            throw DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: "not \(type)")
        }
    }

    /// A non-empty identifier.
    func decodeIdentifier(_ key: Key) throws -> String {
        let text = try decodeText(key, limit: FrameLimits.identifier)
        guard !text.isEmpty else {
            throw DecodingError.dataCorruptedError(forKey: key, in: self, debugDescription: "empty")
        }
        return text
    }
}
