import FoundationEssentials
import Sandboxes

/// What a command shows of one sandbox.
public struct SandboxSummary: Codable, Sendable, Equatable {
    public var name: String
    /// Runtime kind as on the command line, such as `byo`.
    public var runtime: String
    /// `running`, `frozen`, `stopped`, or `offloaded` while its home is another peer.
    public var status: String
    /// The driver that runs it here.
    public var driver: String
    /// The agent's present DID.
    public var did: String
    /// The home peer's name as known here, and its DID.
    public var home: String
    public var homeDID: String
    public var epoch: Int
    public var createdAt: Date
    /// Where clients reach the agent through this peer's gate.
    public var gatewayURL: String?
    /// The 0600 file that holds the gateway token.
    public var tokenFile: String?
    /// Limits that the driver could apply, such as `pids`.
    public var limits: [String]
    /// What the operator chose for the agent.
    public var settings: AgentSettings?
    /// Names of the credentials the agent has as files; only ``SandboxStatus`` looks.
    public var credentials: [String]?
    /// What holds of the sandbox right now; only ``SandboxStatus`` looks.
    public var conditions: [SandboxCondition]?
    /// What its processes use right now, where they can be seen; only ``SandboxStatus`` looks.
    public var usage: SandboxUsage?
    /// What became of it here, oldest first, the newest 32; only ``SandboxStatus`` looks.
    public var transitions: [SandboxTransition]?

    public init(
        name: String, runtime: String, status: String, driver: String, did: String, home: String,
        homeDID: String, epoch: Int, createdAt: Date, gatewayURL: String?, tokenFile: String?,
        limits: [String], settings: AgentSettings? = nil
    ) {
        self.name = name
        self.runtime = runtime
        self.status = status
        self.driver = driver
        self.did = did
        self.home = home
        self.homeDID = homeDID
        self.epoch = epoch
        self.createdAt = createdAt
        self.gatewayURL = gatewayURL
        self.tokenFile = tokenFile
        self.limits = limits
        self.settings = settings
    }
}

/// One thing that holds of a sandbox, or does not.
public struct SandboxCondition: Codable, Sendable, Equatable {
    /// Such as `Ready`.
    public var type: String
    public var holds: Bool
    /// Why, in one sentence.
    public var reason: String

    public init(type: String, holds: Bool, reason: String) {
        self.type = type
        self.holds = holds
        self.reason = reason
    }
}

/// Makes and starts a sandbox (`kars dev`).
public struct CreateSandbox: PeerOperation {
    public static let name = "sandbox.create"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 120

    public var sandboxName: String
    /// The container image that the runtime needs; nil for the reference agent.
    public var image: String?
    /// A folder of this machine whose content becomes the start of the workspace; absolute.
    public var workspace: String?
    /// The runtime as on the command line; nil for the reference agent.
    public var runtime: String?
    public var settings: AgentSettings?
    /// What the agent gets as files: variable and value.
    public var credentials: [String: WireBytes]?

    public init(
        sandboxName: String, workspace: String? = nil, runtime: String? = nil, image: String? = nil,
        settings: AgentSettings? = nil, credentials: [String: WireBytes]? = nil
    ) {
        self.sandboxName = sandboxName
        self.workspace = workspace
        self.runtime = runtime
        self.image = image
        self.settings = settings
        self.credentials = credentials
    }

    public typealias Answer = SandboxSummary
}

/// Changes the credentials of an agent (`kars credentials update`); those that are not named stay as they are.
public struct UpdateCredentials: PeerOperation {
    public static let name = "sandbox.credentials"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 60

    public var sandboxName: String
    /// Variable and value.
    public var credentials: [String: WireBytes]
    /// Whether the agent is started anew, for one that reads them only at its start.
    public var restart: Bool

    public init(sandboxName: String, credentials: [String: WireBytes], restart: Bool) {
        self.sandboxName = sandboxName
        self.credentials = credentials
        self.restart = restart
    }

    public struct Answer: Codable, Sendable {
        /// Names of all credentials the agent has now.
        public let names: [String]
        public let restarted: Bool
        public init(names: [String], restarted: Bool) {
            self.names = names
            self.restarted = restarted
        }
    }
}

/// Starts the agent of a sandbox that stopped; one that runs stays as it is (a second `kars dev`).
public struct StartSandbox: PeerOperation {
    public static let name = "sandbox.start"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 60
    public var sandboxName: String
    public init(sandboxName: String) { self.sandboxName = sandboxName }
    public typealias Answer = SandboxSummary
}

/// All sandboxes of this peer (`kars list`).
public struct ListSandboxes: PeerOperation {
    public static let name = "sandbox.list"
    public static let access = OperationAccess.operatorOnly
    /// Ask the peers where agents of this one live how they are.
    public var askPeers: Bool?
    public init(askPeers: Bool? = nil) { self.askPeers = askPeers }
    public typealias Answer = [SandboxSummary]
}

/// One sandbox (`kars status`).
public struct SandboxStatus: PeerOperation {
    public static let name = "sandbox.status"
    public static let access = OperationAccess.operatorOnly
    public var sandboxName: String
    public init(sandboxName: String) { self.sandboxName = sandboxName }
    public typealias Answer = SandboxSummary
}

/// Where a sandbox of this peer takes commands, for a shell in it (`kars connect --shell`).
public struct SandboxShell: PeerOperation {
    public static let name = "sandbox.shell"
    public static let access = OperationAccess.operatorOnly
    public var sandboxName: String
    public init(sandboxName: String) { self.sandboxName = sandboxName }

    public struct Answer: Codable, Sendable {
        /// A Unix socket that the node's user can reach.
        public var socket: String
    }
}

/// The gateway token of one sandbox's agent, for a command that cannot read the file it lies in.
public struct SandboxToken: PeerOperation {
    public static let name = "sandbox.token"
    public static let access = OperationAccess.operatorOnly
    public var sandboxName: String
    public init(sandboxName: String) { self.sandboxName = sandboxName }

    public struct Answer: Codable, Sendable {
        public let token: String
        public init(token: String) { self.token = token }
    }
}

/// Log lines of one sandbox (`kars logs`): the newest ones, or those that came since, of what its agent wrote here.
public struct SandboxLogs: PeerOperation {
    public static let name = "sandbox.logs"
    public static let access = OperationAccess.operatorOnly
    public var sandboxName: String
    /// Lines from the end.
    public var tail: Int
    /// `agent`, `host`, or nil for both.
    public var log: SandboxLog?
    /// Where an earlier answer ended, by log. The answer then waits some seconds for lines that follow.
    public var after: [String: Int]?
    /// Milliseconds since 1970, UTC: lines that are older are left out.
    public var since: Int?
    /// The answer says when each line was written.
    public var withTimes: Bool?

    public init(
        sandboxName: String, tail: Int, log: SandboxLog? = nil, after: [String: Int]? = nil, since: Int? = nil,
        withTimes: Bool? = nil
    ) {
        self.sandboxName = sandboxName
        self.tail = tail
        self.log = log
        self.after = after
        self.since = since
        self.withTimes = withTimes
    }

    public struct Answer: Codable, Sendable {
        public let lines: [String]
        /// When each line was written, in milliseconds since 1970, UTC, where that was asked for; nil for a line that
        /// was stored without its time.
        public let times: [Int?]?
        /// The log each line is from, where more than one was asked for.
        public let logs: [SandboxLog]?
        /// Where to go on.
        public let end: [String: Int]?
        /// Nothing runs that could write more.
        public let isOver: Bool?
        /// There are more lines since the time that was asked for than an answer holds.
        public let isCut: Bool?
        /// The peer where the agent lives, when that is another one: what it wrote since is told by ``StreamLogs``.
        public let home: String?

        public init(
            lines: [String], times: [Int?]? = nil, logs: [SandboxLog]? = nil, end: [String: Int]? = nil,
            isOver: Bool? = nil, isCut: Bool? = nil, home: String? = nil
        ) {
            self.lines = lines
            self.times = times
            self.isCut = isCut
            self.logs = logs
            self.end = end
            self.isOver = isOver
            self.home = home
        }
    }
}

/// Stops a sandbox and removes it with its workspace (`kars destroy`).
///
/// An agent that lives elsewhere is not touched; its dormant copy here goes only when that is what was asked.
public struct DestroySandbox: PeerOperation {
    public static let name = "sandbox.destroy"
    public static let access = OperationAccess.operatorOnly
    public static let patience = 60
    public var sandboxName: String
    /// Remove what an agent that has moved away left here.
    public var dormantCopy: Bool
    public init(sandboxName: String, dormantCopy: Bool = false) {
        self.sandboxName = sandboxName
        self.dormantCopy = dormantCopy
    }
    public typealias Answer = Done
}

/// Who this peer is and how it stands (`kars mesh status`).
public struct PeerStatus: PeerOperation {
    public static let name = "peer.status"
    public static let access = OperationAccess.operatorOnly
    public init() {}
    public struct Answer: Codable, Sendable {
        public let name: String
        public let did: String
        public let amid: String
        public let publicKey: String
        public let relay: String
        public let relayConnected: Bool
        public let registry: String
        public let registered: Bool
        public let sandboxes: Int
        public let pairings: Int
        public let gateway: String
        /// `anonymous` or `verified`, as the registry says now; nil when it does not answer or does not know this peer.
        public var tier: String?
        /// Whether sandboxes of this peer may come in an image; nil from an older version.
        public var takesImages: Bool?

        public init(
            name: String, did: String, amid: String, publicKey: String, relay: String,
            relayConnected: Bool, registry: String, registered: Bool, sandboxes: Int, pairings: Int,
            gateway: String
        ) {
            self.name = name
            self.did = did
            self.amid = amid
            self.publicKey = publicKey
            self.relay = relay
            self.relayConnected = relayConnected
            self.registry = registry
            self.registered = registered
            self.sandboxes = sandboxes
            self.pairings = pairings
            self.gateway = gateway
        }
    }
}
