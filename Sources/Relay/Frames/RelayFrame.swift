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

    private static let receiptHead = Array("{\"id\":".utf8)
    private static let receiptTail = Array(",\"status\":\"stored\",\"type\":\"receipt\",\"v\":1}".utf8)

    /// Says that the message is on disk (extension `receipts`, design decision 8).
    static func receipt(id: String) -> [UInt8] {
        // One for every message: put together without a text in between.
        var frame: [UInt8] = []
        frame.reserveCapacity(64 + id.utf8.count)
        frame.append(contentsOf: receiptHead)
        if JSONText.isPlain(id) {
            frame.append(UInt8(ascii: "\""))
            frame.append(contentsOf: id.utf8)
            frame.append(UInt8(ascii: "\""))
        } else {
            frame.append(contentsOf: JSONText.quoted(id).utf8)
        }
        frame.append(contentsOf: receiptTail)
        return frame
    }
}
