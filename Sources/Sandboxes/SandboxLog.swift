/// A log of a sandbox.
public enum SandboxLog: String, Codable, Sendable, CaseIterable {
    /// What the agent and all it starts print.
    case agent
    /// What the sandbox's first process says of itself; its lines have no times.
    case host
}

/// Where to begin in a log.
public enum LogStart: Sendable, Equatable {
    /// So many lines before its present end.
    case tail(Int)
    /// At a time (milliseconds since 1970, UTC), but at most so many lines before its present end. Lines without a time
    /// belong to what came before them; a log of nothing else is as old as its last change.
    case since(Int, atMost: Int)
    /// Behind an earlier ``LogPart``.
    case after(Int)
}

/// A piece of a log: whole lines, but for one that is longer than a piece.
public struct LogPart: Sendable, Equatable {
    /// Lines as they are stored, each with its newline.
    public let text: String
    /// Where the next piece begins.
    public let end: Int
    /// Older lines were asked for too, and left out because they were too many.
    public let isCut: Bool

    public init(text: String, end: Int, isCut: Bool = false) {
        self.text = text
        self.end = end
        self.isCut = isCut
    }

    /// The lines, told from their times.
    public var lines: [LogLine] {
        let newline = UInt8(ascii: "\n")
        let lines = text.utf8.split(separator: newline, omittingEmptySubsequences: false)
        return lines.dropLast(text.isEmpty || text.utf8.last == newline ? 1 : 0).map { LogLine(stored: $0) }
    }
}
