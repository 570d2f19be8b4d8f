/// Makes and runs sandboxes of one kind. Operations on one sandbox are refused while another is under way.
public protocol SandboxDriver: Sendable {
    /// `embedded`, `docker` or `pod`.
    var kind: String { get }
    /// Whether a workspace's folder is mounted for good, so that it cannot be exchanged for another, only what is in it.
    var keepsWorkspaceFolder: Bool { get }
    /// Whether a sandbox may come in a container image.
    var takesImages: Bool { get }

    /// Has an image here; returns at once when it is, and fetches it otherwise. Sandboxes fetch what they need by
    /// themselves; this one tells how far it is.
    func fetchImage(_ name: String, report: @escaping @Sendable (ImageProgress) -> Void) async throws(SandboxError)

    /// Finds the sandboxes of an earlier run of the node, those still running included. Call it first.
    func recover() async throws(SandboxError)
    func names() -> [String]

    /// Makes the folders; the workspace may then be filled before ``start(_:)``.
    func create(_ spec: SandboxSpec) async throws(SandboxError)
    /// Gives a folder that will be a workspace to whoever the agent is on this host: what is restored into it is then
    /// theirs too.
    func own(_ folder: String) throws(SandboxError)
    /// Makes everything ready but the agent, so that ``start(_:)`` takes little time; an agent that knows standby
    /// (``SandboxSpec/knowsStandby``) may be loaded already and wait. The workspace may still change inside its
    /// folder, which must stay the same one. ``stop(_:grace:)`` gives it up, and so does the
    /// end of this process; doing it twice is allowed.
    func prepare(_ name: String) async throws(SandboxError)
    /// Puts credentials in place of those the agent has, as files in ``SandboxLayout/credentials`` that never lie
    /// on a disk; whether it runs or not. They go when the sandbox stops, so give them before each start.
    ///
    /// - Parameter files: name, as of a variable, and content.
    func setCredentials(of name: String, _ files: [String: [UInt8]]) async throws(SandboxError)
    /// Runs the agent. It is ready when ``waitUntilReady(_:within:)`` returns.
    func start(_ name: String) async throws(SandboxError)
    /// Waits until the gateway answers `GET /healthz` with 200.
    func waitUntilReady(_ name: String, within limit: Duration) async throws(SandboxError)
    /// Stops every process where it stands; memory and connections stay. Freezing twice is allowed.
    func freeze(_ name: String) async throws(SandboxError)
    func thaw(_ name: String) async throws(SandboxError)
    /// SIGTERM, then SIGKILL after `grace`; returns when nothing runs any more. Stopping twice is allowed.
    func stop(_ name: String, grace: Duration) async throws(SandboxError)
    /// Deletes a sandbox that is not running, its workspace included.
    func remove(_ name: String) async throws(SandboxError)

    func spec(of name: String) throws(SandboxError) -> SandboxSpec
    func state(of name: String) throws(SandboxError) -> SandboxState
    func confinement(of name: String) throws(SandboxError) -> SandboxConfinement
    /// What its processes use right now; nil when none run, or none can be seen from here.
    func usage(of name: String) throws(SandboxError) -> SandboxUsage?
    func folders(of name: String) throws(SandboxError) -> SandboxFolders
    /// A path to connect to the agent's gateway, valid in this process while the sandbox runs.
    func gatewaySocket(of name: String) throws(SandboxError) -> String
    /// The last lines the agent printed.
    func logs(of name: String, lines: Int) throws(SandboxError) -> String
    /// A piece of one of its logs.
    func readLog(of name: String, _ log: SandboxLog, from start: LogStart) throws(SandboxError) -> LogPart
    /// Ends with the agent's status once nothing of the sandbox is left; it does not keep the driver.
    ///
    /// - Throws: for one that was never started by this driver.
    func end(of name: String) throws(SandboxError) -> Task<Int32?, Never>
    /// Waits until the sandbox has stopped, and returns the agent's status as in ``SandboxState/stopped(exit:)``.
    func waitForExit(of name: String) async throws(SandboxError) -> Int32?
}

extension SandboxDriver {
    public var keepsWorkspaceFolder: Bool { false }

    public func usage(of name: String) throws(SandboxError) -> SandboxUsage? {
        switch try state(of: name) {
        case .running(let pid), .frozen(let pid): SandboxUsage(ofNamespaceOf: pid)
        case .created, .stopped: nil
        }
    }

    public func fetchImage(
        _ name: String, report: @escaping @Sendable (ImageProgress) -> Void
    ) async throws(SandboxError) {
        throw .invalidSpec(reason: "\(kind) sandboxes take no image such as \(name)")
    }
}
