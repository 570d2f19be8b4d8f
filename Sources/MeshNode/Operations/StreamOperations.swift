import MeshIdentity
import Sandboxes

// Streams that an operator has of an agent, wherever it lives: the logs it writes and programs beside it.

/// How many characters a terminal shows; the content of an item `control` of a shell's stream.
public struct TerminalSize: Codable, Sendable, Equatable {
    public var columns: UInt16
    public var rows: UInt16

    public init(columns: UInt16, rows: UInt16) {
        self.columns = columns
        self.rows = rows
    }
}

/// A program to be run beside an agent, in its sandbox.
public struct ShellRequest: Codable, Sendable, Equatable {
    /// Words of a command line, and of the environment variables, in bytes.
    public static let maximumBytes = 32 << 10

    public var command: [String]
    /// Added to the agent's variables.
    public var environment: [String: String]
    /// The size of the terminal that the program gets; nil for pipes, with errors on a channel of their own.
    public var terminal: TerminalSize?

    public init(command: [String], environment: [String: String] = [:], terminal: TerminalSize? = nil) {
        self.command = command
        self.environment = environment
        self.terminal = terminal
    }

    /// - Throws: `invalid` for what no sandbox would run.
    func validate() throws(OperationFailure) {
        let texts = command + environment.keys + environment.values
        guard command.first?.isEmpty == false, texts.reduce(0, { $0 + $1.utf8.count }) <= Self.maximumBytes,
            !texts.contains(where: { $0.utf8.contains(0) })
        else { throw OperationFailure(.invalid, "the command to run is empty, too long, or holds a NUL") }
    }
}

/// What of an agent's log is wanted. Each item `output` is one ``SandboxLogs/Answer``.
public struct LogRequest: Codable, Sendable, Equatable {
    /// Lines from the end.
    public var tail: Int
    /// `agent`, `host`, or nil for both.
    public var log: SandboxLog?
    /// Go on with what is written until nothing runs that could write more.
    public var follows: Bool
    /// Where an earlier stream ended, by log, in place of `tail`.
    public var after: [String: Int]?
    /// Milliseconds since 1970, UTC: lines that are older are left out.
    public var since: Int?
    /// Items say when each line was written.
    public var withTimes: Bool?

    public init(
        tail: Int, log: SandboxLog? = nil, follows: Bool = false, after: [String: Int]? = nil, since: Int? = nil,
        withTimes: Bool? = nil
    ) {
        self.tail = tail
        self.log = log
        self.follows = follows
        self.after = after
        self.since = since
        self.withTimes = withTimes
    }
}

/// The log of an agent of this peer, from where it lives (`kars logs`).
public struct StreamLogs: StreamOperation {
    public static let name = "sandbox.stream-logs"
    public static let access = OperationAccess.operatorOnly

    public var sandboxName: String
    public var request: LogRequest

    public init(sandboxName: String, request: LogRequest) {
        self.sandboxName = sandboxName
        self.request = request
    }

    public typealias Answer = StreamOpened
}

/// A program beside an agent of this peer, where the agent lives (`kars connect --shell`).
public struct StreamShell: StreamOperation {
    public static let name = "sandbox.stream-shell"
    public static let access = OperationAccess.operatorOnly

    public var sandboxName: String
    public var request: ShellRequest

    public init(sandboxName: String, request: ShellRequest) {
        self.sandboxName = sandboxName
        self.request = request
    }

    public typealias Answer = StreamOpened
}

/// The log of an agent at its present home, for a peer it lived at before: whoever may bring an agent back may read what
/// it writes.
public struct StreamGuestLogs: StreamOperation {
    public static let name = "guest.stream-logs"
    public static let access = OperationAccess.capability(.handoff)

    /// The agent's first DID, which it keeps over all moves.
    public var lineage: DID
    public var request: LogRequest

    public init(lineage: DID, request: LogRequest) {
        self.lineage = lineage
        self.request = request
    }

    public typealias Answer = StreamOpened
}

/// A program beside an agent at its present home, for a peer it lived at before. Such a peer can bring the agent back with
/// all it has and chose what runs in its sandbox, so a program as confined as the agent gives it nothing that it could not
/// have.
public struct StreamGuestShell: StreamOperation {
    public static let name = "guest.stream-shell"
    public static let access = OperationAccess.capability(.handoff)

    public var lineage: DID
    public var request: ShellRequest

    public init(lineage: DID, request: ShellRequest) {
        self.lineage = lineage
        self.request = request
    }

    public typealias Answer = StreamOpened
}
