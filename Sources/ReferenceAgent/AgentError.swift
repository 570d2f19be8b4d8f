/// Why the reference agent could not do what it was asked.
public enum AgentError: Error, Sendable, CustomStringConvertible {
    /// The request is not what the runtime contract says; `reason` is for the client.
    case invalidRequest(reason: String)
    /// The message alone takes all of the tokens that the request allows.
    case tooFewTokens(needed: Int, limit: Int)
    /// Files could not be read or written.
    case files(reason: String)
    /// The message is longer than the agent takes.
    case messageTooLong(limit: Int)
    /// The agent takes no turns until it is thawed.
    case frozen
    /// More turns wait than the agent holds.
    case busy
    /// The journal or the table of conversations has reached its bound.
    case full(reason: String)
    /// The agent was stopped.
    case stopped
    /// A system call on the journal failed.
    case journal(path: String, reason: String)
    /// The journal's chain of digests does not hold at this byte.
    case damaged(path: String, offset: Int)
    /// The index beside the journal does not fit it; it is made anew before anybody hears of this.
    case indexLost
    /// Another agent works in the workspace.
    case inUse(path: String)

    public var description: String {
        switch self {
        case .invalidRequest(let reason): reason
        case .tooFewTokens(let needed, let limit):
            "an answer needs \(needed) tokens at least, and max_tokens is \(limit)"
        case .files(let reason): reason
        case .messageTooLong(let limit): "the message is longer than \(limit) bytes"
        case .frozen: "the agent is frozen, try again soon"
        case .busy: "too many turns are waiting, try again soon"
        case .full(let reason): reason
        case .stopped: "the agent is stopping"
        case .journal(let path, let reason): "\(path): \(reason)"
        case .damaged(let path, let offset): "the journal \(path) is damaged at byte \(offset)"
        case .indexLost: "the index of the journal does not fit it"
        case .inUse(let path): "another agent uses the journal \(path)"
        }
    }

    /// The stable word a program can act on.
    var code: String {
        switch self {
        case .invalidRequest: "invalid_request"
        case .tooFewTokens: "max_tokens"
        case .files: "files_failed"
        case .messageTooLong: "message_too_long"
        case .frozen: "frozen"
        case .busy: "busy"
        case .full: "full"
        case .stopped: "stopping"
        case .journal, .damaged, .indexLost, .inUse: "journal_failed"
        }
    }

    var status: Int {
        switch self {
        case .invalidRequest, .tooFewTokens: 400
        case .messageTooLong: 413
        case .frozen, .busy, .stopped: 503
        case .full: 507
        case .journal, .damaged, .indexLost, .inUse, .files: 500
        }
    }
}
