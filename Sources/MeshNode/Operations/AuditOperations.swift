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
