/// Rows of a record of decisions: this peer's own, or one agent's.
public struct ReadAudit: PeerOperation {
    public static let name = "audit.read"
    public static let access = OperationAccess.operatorOnly
    /// Most rows of one answer.
    public static let maximumRows = 10_000

    /// The agent; nil for the decisions of this peer.
    public var sandboxName: String?
    public var filter: AuditFilter
    /// The newest rows that fit, this many; in the order they were written.
    public var last: Int
    /// Instead, rows behind that one.
    public var after: Int?

    public init(sandboxName: String? = nil, filter: AuditFilter = .init(), last: Int, after: Int? = nil) {
        self.sandboxName = sandboxName
        self.filter = filter
        self.last = last
        self.after = after
    }

    public struct Answer: Codable, Sendable, Equatable {
        public let rows: [AuditRow]
        /// The last row that was looked at, to go on behind it.
        public let end: Int

        public init(rows: [AuditRow], end: Int) {
            self.rows = rows
            self.end = end
        }
    }
}

/// Checks this peer's own record of decisions.
public struct CheckAudit: PeerOperation {
    public static let name = "audit.verify"
    public static let access = OperationAccess.operatorOnly

    public init() {}

    public struct Answer: Codable, Sendable, Equatable {
        public let rows: Int
        /// Hash of the last row: who keeps it can tell later that no row before it was cut off.
        public let head: String
        /// The first row that does not follow from the one before; nil when all do.
        public let firstBrokenRow: Int?

        public init(rows: Int, head: String, firstBrokenRow: Int?) {
            self.rows = rows
            self.head = head
            self.firstBrokenRow = firstBrokenRow
        }
    }
}

/// Checks the record of decisions about an agent, over all its moves as far as this peer keeps them.
public struct CheckAgentAudit: PeerOperation {
    public static let name = "sandbox.audit"
    public static let access = OperationAccess.operatorOnly

    public var sandboxName: String

    public init(sandboxName: String) { self.sandboxName = sandboxName }

    public struct Answer: Codable, Sendable, Equatable {
        /// A move in the chain: who gave the agent away, and the row that its signature covers.
        public struct Move: Codable, Sendable, Equatable {
            public let epoch: Int
            public let row: Int
            public let giver: String
            /// Whether the registry names the giver as the home before that move; nil where it tells nothing of it.
            public let isKnown: Bool?

            public init(epoch: Int, row: Int, giver: String, isKnown: Bool?) {
                self.epoch = epoch
                self.row = row
                self.giver = giver
                self.isKnown = isKnown
            }
        }

        public let rows: [AuditRow]
        public let moves: [Move]
        /// What does not fit, each in a few words; empty when all does.
        public let faults: [String]

        public init(rows: [AuditRow], moves: [Move], faults: [String]) {
            self.rows = rows
            self.moves = moves
            self.faults = faults
        }
    }
}
