/// Where a sandbox stands.
public enum SandboxState: Sendable, Equatable {
    /// Made and never started.
    case created
    /// - Parameter pid: the sandbox's init as the host sees it.
    case running(pid: Int32)
    case frozen(pid: Int32)
    /// - Parameter exit: the agent's status, 128 + n after signal n; nil when nobody could learn it.
    case stopped(exit: Int32?)

    public var isAlive: Bool {
        switch self {
        case .running, .frozen: true
        case .created, .stopped: false
        }
    }
}

/// What holds a running sandbox, as found on this host: a limit in none of the lists is not enforced.
public struct SandboxConfinement: Codable, Sendable, Equatable {
    /// Limits the kernel enforces on the whole sandbox (cgroups), such as `memory`.
    public var groupLimits: [String] = []
    /// Limits it enforces on each process only, because the group's controller is not available.
    public var processLimits: [String] = []
    /// `cgroup` or `signals`.
    public var freezer = "signals"

    public init() {}
}
