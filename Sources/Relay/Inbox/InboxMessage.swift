/// One message on its way to a recipient.
struct InboxMessage: Sendable, Equatable {
    /// Its place in the order of all messages of this relay.
    let sequence: Int64
    let recipient: MeshAddress
    let sender: MeshAddress
    /// Chosen by the sender; unique for it and the recipient.
    let id: String
    /// In ``InboxStore/milliseconds``.
    let expires: Int64
    /// As it is sent.
    let frame: [UInt8]
}

/// The way from one sender to one recipient.
struct InboxLane: Sendable, Hashable {
    let recipient: MeshAddress
    let sender: MeshAddress
}

/// A message that left an inbox.
struct FreedMessage: Sendable, Equatable {
    let sender: MeshAddress
    let bytes: Int
}

/// What an inbox holds.
struct InboxUsage: Sendable, Equatable {
    var messages = 0
    var bytes = 0

    static func += (left: inout InboxUsage, right: InboxUsage) {
        left.messages += right.messages
        left.bytes += right.bytes
    }
    static func -= (left: inout InboxUsage, right: InboxUsage) {
        left.messages -= right.messages
        left.bytes -= right.bytes
    }
}
