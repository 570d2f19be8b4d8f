import Handoff

/// The bounds on what paired peers can make this one do and keep, and on what comes back; both sides hold them.
public struct OffloadLimits: Sendable {
    /// Names of files and folders that go with a task, or come back.
    public var files = 1_000
    /// Bytes of all of them.
    public var bytes = 64 << 20
    /// Offloads that may hold a slot at one time, whoever asked.
    public var open = 8
    /// How long what an offload made is kept for its requester, in seconds.
    public var keptFor = 86_400

    public init() {}

    /// Bytes of a task.
    static let maximumTaskBytes = 32 << 10
    /// Bytes of an encoded list of files, which goes in one message.
    static let maximumManifestBytes = 256 << 10
    /// Bytes of an agent's final answer that are carried.
    static let maximumSummaryBytes = 64 << 10
    /// Bytes of a message that says why an offload failed.
    static let maximumMessageBytes = 4_000
    /// Tokens of an offload that asks for no number.
    static let standardAllowance = 32_000
    /// Seconds that an offload may take.
    static let timeouts = 1...86_400
    /// Tokens that an offload may ask for.
    static let tokens = 1...1_000_000_000
    /// Bytes of chunks in one message; two layers of base64 keep it below the relay's bound on a frame.
    static let messageBytes = 256 << 10
    /// Chunks that are listed or asked for at once.
    static let listedChunks = 1_024

    /// For the files of one offload.
    var workspace: WorkspaceLimits {
        var limits = WorkspaceLimits()
        limits.maximumEntries = files
        limits.maximumTotalBytes = UInt64(bytes)
        limits.maximumFileBytes = UInt64(bytes)
        limits.maximumManifestBytes = Self.maximumManifestBytes
        limits.maximumDepth = 32
        return limits
    }
}
