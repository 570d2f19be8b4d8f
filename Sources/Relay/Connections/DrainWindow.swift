/// Stored messages that were pushed on a connection and wait for their acks.
struct DrainWindow: Sendable {
    private let maximum: InboxUsage
    private var bytesByID: [String: Int] = [:]
    private var bytes = 0

    init(maximum: InboxUsage) { self.maximum = maximum }

    /// What may still be pushed; nil when nothing.
    var room: InboxUsage? {
        guard bytesByID.count < maximum.messages, bytes < maximum.bytes else { return nil }
        return InboxUsage(messages: maximum.messages - bytesByID.count, bytes: maximum.bytes - bytes)
    }

    mutating func push(id: String, bytes count: Int) {
        bytes += count - (bytesByID.updateValue(count, forKey: id) ?? 0)
    }

    mutating func acknowledge(id: String) {
        if let count = bytesByID.removeValue(forKey: id) { bytes -= count }
    }

    /// Waits for none of them any longer.
    mutating func forgetAll() {
        bytesByID = [:]
        bytes = 0
    }
}
