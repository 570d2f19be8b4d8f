/// The bounds on what a client can make the agent hold.
public struct AgentLimits: Sendable {
    /// Bytes of one message in UTF-8.
    public var maximumMessageBytes = 64 << 10
    /// Bytes of a request's body or of a stream's text message; JSON escapes make a message up to six
    /// times longer.
    public var maximumRequestBytes = 512 << 10
    /// Conversations in one workspace.
    public var maximumConversations = 100_000
    /// Turns in one workspace; each costs 16 bytes of memory.
    public var maximumTurns = 10_000_000
    /// Request ids remembered, the latest ones: how far back a repeat is recognised.
    public var maximumRequestIDs = 10_000
    /// Turns waiting for the journal.
    public var maximumWaiting = 4096
    /// Turns of one stream that wait for their answer.
    public var maximumWaitingPerStream = 64
    /// Turns in one page of a conversation's listing.
    public var maximumPage = 100

    public init() {}
}
