import FoundationEssentials

/// Where an offload stands.
///
///     validating ─▶ spawning ─▶ ready ─▶ working ─▶ done ─▶ cleaned
///         └────────────┴─────────┴─────────┴─▶ failed
public enum OffloadPhase: String, Codable, Sendable {
    /// Its files are on their way and are checked.
    case validating
    /// A sandbox is made for it.
    case spawning
    /// The agent answers.
    case ready
    /// The agent has the task.
    case working
    /// What it made can be collected.
    case done
    case failed
    /// It was ended by who asked for it, or nothing of it is kept any more.
    case cleaned

    public var isOver: Bool { self == .done || self == .failed || self == .cleaned }
}

/// One offload as commands show it.
public struct OffloadProgress: Codable, Sendable, Equatable {
    /// A file that an agent left.
    public struct File: Codable, Sendable, Equatable {
        public var path: String
        public var bytes: Int

        public init(path: String, bytes: Int) {
            self.path = path
            self.bytes = bytes
        }
    }

    public struct Result: Codable, Sendable, Equatable {
        /// The agent's final answer, and whether more of it was not carried.
        public var summary: String
        public var isCut: Bool
        /// Nil for an agent that reports none.
        public var tokens: OffloadTokens?
        public var seconds: Int
        public var files: [File]

        public init(summary: String, isCut: Bool, tokens: OffloadTokens?, seconds: Int, files: [File]) {
            self.summary = summary
            self.isCut = isCut
            self.tokens = tokens
            self.seconds = seconds
            self.files = files
        }
    }

    public var id: String
    /// Whether this peer works for the other, or the other for this one.
    public var role: OffloadRecord.Role
    /// The other peer's name as known here, and its DID.
    public var peer: String
    public var peerDID: String
    /// The task, or the first 80 characters of it.
    public var task: String
    public var phase: OffloadPhase
    /// Why it failed, or what else is to be said.
    public var message: String?
    public var sandbox: String
    /// Tokens it may spend; nil while that is not known here.
    public var allowance: Int?
    public var fileCount: Int
    public var fileBytes: Int
    public var createdAt: Date
    public var updatedAt: Date
    /// Only while it is kept here.
    public var result: Result?

    /// Characters of a task that lists show.
    static let shownTask = 80

    /// - Parameter files: what the agent left, as far as it is known here.
    public init(_ record: OffloadRecord, files: [File] = []) {
        id = record.id
        role = record.role
        peer = record.peerName
        peerDID = record.peer.did.text
        task = record.task.count > Self.shownTask ? record.task.prefix(Self.shownTask - 1) + "…" : record.task
        phase = record.phase
        message = record.message
        sandbox = record.sandbox
        allowance = record.allowance > 0 ? record.allowance : nil
        fileCount = record.fileCount
        fileBytes = record.fileBytes
        createdAt = record.createdAt
        updatedAt = record.updatedAt
        result = record.outcome.map {
            Result(summary: $0.summary, isCut: $0.isCut, tokens: $0.tokens, seconds: $0.seconds, files: files)
        }
    }
}

/// Gives a task to a paired peer and returns once that has taken it (`kars offload`).
public struct StartOffload: PeerOperation {
    public static let name = "offload.start"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 90

    public var task: String
    /// `cloud`, or the name of a pairing or of its peer.
    public var target: String
    /// Files and folders of this machine that go along; absolute.
    public var files: [String]
    public var preferences: OffloadPreferences

    public init(task: String, target: String, files: [String], preferences: OffloadPreferences) {
        self.task = task
        self.target = target
        self.files = files
        self.preferences = preferences
    }

    public typealias Answer = OffloadProgress
}

/// All offloads of one side, the newest first (`kars offload list`, `kars mesh list`).
public struct ListOffloads: PeerOperation {
    public static let name = "offload.list"
    public static let access = OperationAccess.operatorOnly
    public var role: OffloadRecord.Role
    public init(role: OffloadRecord.Role) { self.role = role }
    public typealias Answer = [OffloadProgress]
}

/// One that this peer asked for, by its id or enough of its beginning (`kars offload status`, `result`).
public struct ShowOffload: PeerOperation {
    public static let name = "offload.show"
    public static let access = OperationAccess.operatorOnly
    public var id: String
    /// Where to put the files that the agent left: a folder that is empty or not there, absolute.
    public var folder: String?

    public init(id: String, folder: String? = nil) {
        self.id = id
        self.folder = folder
    }

    public typealias Answer = OffloadProgress
}

/// Ends an offload that this peer asked for, there and here; of one that is over it forgets record and files
/// (`kars offload cancel`).
public struct CancelOffload: PeerOperation {
    public static let name = "offload.cancel"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 90
    public var id: String
    public init(id: String) { self.id = id }
    public typealias Answer = OffloadProgress
}
