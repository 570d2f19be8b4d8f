import FoundationEssentials

/// How far a move has come, as `kars handoff --status` shows it.
public struct HandoffProgress: Codable, Sendable, Equatable {
    /// Where a move stands on the peer that gives the agent away.
    ///
    ///     copying ─▶ freezing ─▶ committing ─▶ starting ─▶ complete
    ///        └──────────┴────────────┴▶ aborted
    ///
    /// `committing` is the one moment when the registry decides; before it a move can be aborted, after it
    /// the agent lives at the target.
    public enum Phase: String, Codable, Sendable {
        /// The workspace is copied while the agent serves.
        case copying
        /// The agent is frozen, its requests wait, the last difference moves.
        case freezing
        /// The target has proven its copy; the home record is being written.
        case committing
        /// The agent lives at the target, which starts it.
        case starting
        case complete
        case aborted

        public var isOver: Bool { self == .complete || self == .aborted }
    }

    public var id: String
    public var sandbox: String
    /// `out` when this peer gives the agent away, `in` when it takes it.
    public var direction: String
    /// The other peer's name as known here.
    public var peer: String
    public var peerDID: String
    public var phase: Phase
    public var startedAt: Date
    public var updatedAt: Date
    public var workspaceFiles: Int
    public var workspaceBytes: Int
    /// Bytes of chunks that crossed the mesh; what the target had already does not count.
    public var movedBytes: Int
    /// Looks at the workspace so far; each begins a round of copying. Nil before the first.
    public var round: Int?
    /// Bytes of chunks that the present round has to send, as far as they are known, and those it has sent.
    public var roundBytes: Int?
    public var roundMovedBytes: Int?
    /// Time without an answering agent: from the first held request to the gate's release, in milliseconds.
    public var freezeMilliseconds: Double?
    /// Where that time went, in milliseconds, by step; `taker.…` are parts of `prove` and `start` as the taker tells.
    public var freezeSteps: [String: Double]?
    /// The agent's own digest of its state when it was frozen, and when it was started at the target.
    public var digestBefore: String?
    public var digestAfter: String?
    /// Merkle root of the workspace, proven by both sides.
    public var root: String?
    /// Why it was aborted.
    public var error: String?

    public init(
        id: String, sandbox: String, direction: String, peer: String, peerDID: String, startedAt: Date
    ) {
        self.id = id
        self.sandbox = sandbox
        self.direction = direction
        self.peer = peer
        self.peerDID = peerDID
        phase = .copying
        self.startedAt = startedAt
        updatedAt = startedAt
        workspaceFiles = 0
        workspaceBytes = 0
        movedBytes = 0
    }
}

/// Starts a move and returns at once (`kars handoff <name> --to …`).
public struct StartHandoff: PeerOperation {
    public static let name = "handoff.start"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 60

    public var sandboxName: String
    /// `local` for this peer; `cloud`, or the name of a pairing or of its peer, for another.
    public var target: String

    public init(sandboxName: String, target: String) {
        self.sandboxName = sandboxName
        self.target = target
    }

    public typealias Answer = HandoffProgress
}

/// Says what a move would do, and changes nothing (`kars handoff <name> --to … --dry-run`).
public struct PlanHandoff: PeerOperation {
    public static let name = "handoff.plan"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 120

    public var sandboxName: String
    /// As in ``StartHandoff``.
    public var target: String

    public init(sandboxName: String, target: String) {
        self.sandboxName = sandboxName
        self.target = target
    }

    public struct Answer: Codable, Sendable, Equatable {
        public var sandbox: String
        public var peer: String
        public var files: Int
        /// Bytes of all files.
        public var bytes: Int
        /// Whether the peer has an older copy, so that less than all of it would be sent.
        public var hasOlderCopy: Bool
        /// How long the agent was frozen when it moved last; nil for one that never did.
        public var lastFreezeMilliseconds: Double?

        public init(
            sandbox: String, peer: String, files: Int, bytes: Int, hasOlderCopy: Bool, lastFreezeMilliseconds: Double?
        ) {
            self.sandbox = sandbox
            self.peer = peer
            self.files = files
            self.bytes = bytes
            self.hasOlderCopy = hasOlderCopy
            self.lastFreezeMilliseconds = lastFreezeMilliseconds
        }
    }
}

/// The newest move of a sandbox on this peer (`kars handoff <name> --status`).
public struct HandoffStatus: PeerOperation {
    public static let name = "handoff.status"
    public static let access = OperationAccess.operatorOnly
    public var sandboxName: String
    public init(sandboxName: String) { self.sandboxName = sandboxName }
    public typealias Answer = HandoffProgress
}

/// Ends a move that has not been committed (`kars handoff <name> --abort`).
public struct AbortHandoff: PeerOperation {
    public static let name = "handoff.abort"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 60
    public var sandboxName: String
    public init(sandboxName: String) { self.sandboxName = sandboxName }
    public typealias Answer = HandoffProgress
}
