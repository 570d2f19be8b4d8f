/// The frames the relay itself writes.
enum RelayFrame {
    /// Tells a client what was wrong; the connection stays unless it is closed apart.
    static func error(_ detail: String) -> [UInt8] {
        Array("{\"detail\":\(JSONText.quoted(detail)),\"type\":\"error\",\"v\":1}".utf8)
    }

    /// Answers a connect frame that asked for extensions.
    static func connected(extensions: [String]) -> [UInt8] {
        let names = extensions.map(JSONText.quoted).joined(separator: ",")
        return Array("{\"extensions\":[\(names)],\"type\":\"connected\",\"v\":1}".utf8)
    }

    /// Says that the message is on disk (extension `receipts`, design decision 8).
    static func receipt(id: String) -> [UInt8] {
        Array("{\"id\":\(JSONText.quoted(id)),\"status\":\"stored\",\"type\":\"receipt\",\"v\":1}".utf8)
    }
}
