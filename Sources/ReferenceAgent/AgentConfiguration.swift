import Transport

/// What the reference agent is told at its start.
public struct AgentConfiguration: Sendable {
    /// The gateway of runtime contract v1.
    public static let defaultListen = "127.0.0.1:18789"
    /// The folder a sandbox keeps for its agent.
    public static let defaultWorkspace = "/sandbox/workspace"

    public var listen: Endpoint
    /// Made when it is not there.
    public var workspace: String
    public var limits: AgentLimits
    /// Where `incoming` and `outgoing` are: beside the workspace.
    var filesFolder: String {
        String(workspace.prefix(upTo: workspace.lastIndex(of: "/") ?? workspace.startIndex))
    }
    /// Where the word to open the workspace is read, see ``Standby``; nil opens it at once.
    public var standby: Int32?

    public init(
        listen: Endpoint, workspace: String = defaultWorkspace, limits: AgentLimits = AgentLimits(),
        standby: Int32? = nil
    ) {
        self.standby = standby
        self.listen = listen
        self.workspace = workspace
        self.limits = limits
    }
}
