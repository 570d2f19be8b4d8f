import FoundationEssentials
import Storage

/// Something that became of a sandbox, and when.
public struct SandboxTransition: Codable, Sendable, Equatable {
    /// By this peer's clock.
    public var at: Date
    /// What it became: `running`, `ended`, `stopped` or `offloaded`.
    public var state: String
    /// Why, in one sentence.
    public var reason: String

    public init(at: Date = Date(), state: String, reason: String) {
        self.at = at
        self.state = state
        self.reason = reason
    }
}

// What became of the sandboxes of this peer is kept beside their records, the newest of each.
extension SandboxService {
    /// Transitions that are kept of a sandbox.
    static let keptTransitions = 32
    private static let maximumReasonBytes = 400

    /// Stores what became of a sandbox without waiting for it; what is so already is not said twice.
    func note(_ transition: SandboxTransition, of name: String) {
        let logger = logger
        store.database.submit({ try Self.insert(transition, of: name, on: $0) }) { result in
            if case .failure(let error) = result {
                logger.warn("what became of a sandbox was not stored", ["sandbox": name, "error": "\(error)"])
            }
        }
    }

    /// The newest transitions of a sandbox, oldest first.
    func transitions(of name: String) async throws -> [SandboxTransition] {
        try await store.database.read {
            try $0.query(
                "SELECT at, state, reason FROM sandbox_transition WHERE sandbox = ? ORDER BY seq", .text(name)
            ) {
                SandboxTransition(
                    at: Date(timeIntervalSince1970: Double($0.int64(0)) / 1000), state: $0.text(1), reason: $0.text(2))
            }
        }
    }

    /// What a change of a record makes of its sandbox; nil when nothing.
    func transition(from old: SandboxRecord?, to new: SandboxRecord) -> SandboxTransition? {
        let isHome = new.home.key == identity.publicKey
        let wasHome = old?.home.key == identity.publicKey
        guard old == nil || old?.home != new.home else { return nil }
        guard isHome else {
            return SandboxTransition(
                state: "offloaded", reason: "it lives at \(new.homeName) since epoch \(new.epoch)")
        }
        guard !wasHome else { return nil }
        return SandboxTransition(
            state: "running",
            reason: old == nil && new.epoch == 1 ? "it was created here" : "it came here with epoch \(new.epoch)")
    }

    static func insert(_ transition: SandboxTransition, of name: String, on connection: Connection) throws {
        let reason = String(decoding: transition.reason.utf8.prefix(maximumReasonBytes), as: UTF8.self)
        let last = try connection.first(
            "SELECT state, reason FROM sandbox_transition WHERE sandbox = ? ORDER BY seq DESC LIMIT 1", .text(name)
        ) { ($0.text(0), $0.text(1)) }
        if let last, last == (transition.state, reason) { return }
        try connection.execute(
            "INSERT INTO sandbox_transition (sandbox, at, state, reason) VALUES (?, ?, ?, ?)", .text(name),
            .integer(Int64(transition.at.timeIntervalSince1970 * 1000)), .text(transition.state), .text(reason))
        try connection.execute(
            """
            DELETE FROM sandbox_transition WHERE sandbox = ?1 AND seq <= (
                SELECT seq FROM sandbox_transition WHERE sandbox = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)
            """, .text(name), SQLValue(keptTransitions))
    }

    static func forgetTransitions(of name: String, on connection: Connection) throws {
        try connection.execute("DELETE FROM sandbox_transition WHERE sandbox = ?", .text(name))
    }
}
