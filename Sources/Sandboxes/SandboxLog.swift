/// A log of a sandbox.
public enum SandboxLog: String, Codable, Sendable, CaseIterable {
    /// What the agent and all it starts print.
    case agent
    /// What the sandbox's first process says of itself.
    case host
}

/// Where to begin in a log.
public enum LogStart: Sendable, Equatable {
    /// So many lines before its present end.
    case tail(Int)
    /// Behind an earlier ``LogPart``.
    case after(Int)
}

/// A piece of a log: whole lines, but for one that is longer than a piece.
public struct LogPart: Sendable, Equatable {
    /// Lines, each with its newline.
    public let text: String
    /// Where the next piece begins.
    public let end: Int

    public init(text: String, end: Int) {
        self.text = text
        self.end = end
    }
}
