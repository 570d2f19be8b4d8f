/// What the node asks of a pod's attendant: one JSON object a line.
struct AttendantRequest: Codable, Sendable {
    enum Action: String, Codable, Sendable {
        /// Starts a run; what is left of the one before is ended first.
        case start
        /// Stops every process of the run where it stands, and answers when all do.
        case freeze
        case thaw
        /// Sends ``signal`` to the run: SIGKILL to every process, others to its init.
        case kill
    }

    /// Chosen by the node; the answer bears it too.
    var number: Int
    var action: Action
    /// Which run is meant, so that no request hits a later one.
    var run: String
    /// What the init is told, for a start.
    var arguments: [String]?
    var environment: [String: String]?
    var signal: Int32?
}

/// What the attendant says: once after the connect, and then answers and news, one JSON object a line.
struct AttendantNotice: Codable, Sendable {
    /// The request that this answers; nil for news.
    var number: Int?
    var error: String?
    /// The run that is there, or was the last; nil when there was none.
    var run: String?
    /// Whether it has ended, and how.
    var hasEnded: Bool?
    var status: Int32?
    /// Whether the run was frozen and not thawed since.
    var isFrozen: Bool?
}

/// Where the two meet. The folder is a volume that the agent's container sees read-only: nobody there can make another
/// socket, or another file to lock, in their place.
enum AttendantPlace {
    /// In the agent's container.
    static let folder = "/run/kars-link"
    /// In the agent's container: a folder of the state, which goes from one pod to the next. Whoever holds its lock may run
    /// the agent.
    static let hold = "/run/kars-hold"
    static let socketName = "node.sock"
    static let lockName = "attendant.lock"
    /// Longest line either side takes.
    static let maximumLineBytes = 1 << 20
}
