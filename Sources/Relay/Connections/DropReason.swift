/// Why a frame went no further; the raw value is the metric's label.
enum DropReason: String, CaseIterable, Sendable {
    case malformed
    case unknownType = "unknown_type"
    case falseSender = "false_sender"
    case invalidRecipient = "invalid_recipient"
    case invalidID = "invalid_id"
    case tooLarge = "too_large"
    case inboxFull = "inbox_full"
    case senderShareFull = "sender_share_full"
    case storeFull = "store_full"
    case duplicate
    case notStored = "not_stored"
    case expired
}
