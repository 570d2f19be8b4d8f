/// What a command in a container left behind.
public struct ExecResult: Sendable, Hashable {
    public let stdout: [UInt8]
    public let stderr: [UInt8]
    /// The command's exit status.
    public let status: Int

    /// Standard output as text.
    public var text: String { String(decoding: stdout, as: UTF8.self) }
}

/// A piece of what a command in a container prints.
public enum ExecOutput: Sendable, Hashable {
    case stdout([UInt8])
    case stderr([UInt8])
}
