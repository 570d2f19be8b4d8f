import FoundationEssentials
import MeshIdentity

/// What the accepting side of a KNOCK demanded, and how much of it is used (AgentMesh wire §5).
///
/// `max_messages` and `allowed_actions` bind the peer that KNOCKed, `ttl_seconds` both. Each side counts for
/// itself: the sender what it sealed, the receiver what it opened, so that a lost message harms nobody.
struct SessionTerms: Codable, Sendable, Equatable {
    let conditions: KnockAcceptFrame.Conditions
    /// Whether this peer KNOCKed.
    let isInitiator: Bool
    let acceptedAt: Date
    /// Messages of the peer that KNOCKed.
    private(set) var used = 0

    init(_ conditions: KnockAcceptFrame.Conditions, isInitiator: Bool, acceptedAt: Date) {
        self.conditions = conditions
        self.isInitiator = isInitiator
        self.acceptedAt = acceptedAt
    }

    /// Whether this side may send nothing more in the session, whatever it is.
    func isOver(at now: Date) -> Bool {
        isExpired(at: now) || isInitiator && used >= conditions.maxMessages ?? .max
    }

    private func isExpired(at now: Date) -> Bool {
        guard let seconds = conditions.ttlSeconds else { return false }
        return now.timeIntervalSince(acceptedAt) >= TimeInterval(seconds)
    }

    /// Counts a message of one side; the reason when the conditions forbid it.
    mutating func note(_ plaintext: [UInt8], isOurs: Bool, at now: Date) -> String? {
        if isExpired(at: now) { return "the session's time is up" }
        guard isOurs == isInitiator else { return nil }
        if let most = conditions.maxMessages, used >= most { return "the session carries \(most) messages" }
        if let actions = conditions.allowedActions {
            guard let action = Self.action(of: plaintext) else { return "a message without an action" }
            guard actions.contains(action) else { return "the action \(action.prefix(100)) is not allowed" }
        }
        used += 1
        return nil
    }

    /// What a message asks for: its `action`, the `op` of a request of ours, else its `type`.
    private static func action(of plaintext: [UInt8]) -> String? {
        struct Named: Decodable { let action: String?, op: String?, type: String? }
        guard let named = PeerJSON.decode(Named.self, from: plaintext) else { return nil }
        return named.action ?? named.op ?? named.type
    }
}
