/// The bounds on what a client can make the agent hold.
public struct AgentLimits: Sendable {
    /// Bytes of one message in UTF-8.
    public var maximumMessageBytes = 64 << 10
    /// Bytes of a request's body or of a stream's text message; JSON escapes make a message up to six
    /// times longer.
    public var maximumRequestBytes = 512 << 10
    /// Conversations in one workspace.
    public var maximumConversations = 100_000
    /// Turns in one workspace; each costs 32 bytes of the index beside the journal.
    public var maximumTurns = 10_000_000
    /// Request ids remembered, the latest ones: how far back a repeat is recognised.
    public var maximumRequestIDs = 10_000
    /// Turns after which the index is brought to the workspace: how many a start reads from the journal. Where
    /// there are more conversations than that, it is as many turns as conversations, for a checkpoint lists those.
    public var checkpointTurns = 256
    /// Turns waiting for the journal.
    public var maximumWaiting = 4096
    /// Turns of one stream that wait for their answer.
    public var maximumWaitingPerStream = 64
    /// Turns in one page of a conversation's listing.
    public var maximumPage = 100

    public init() {}
}
