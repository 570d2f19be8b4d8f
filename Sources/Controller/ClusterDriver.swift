import Sandboxes

/// What stands for the sandboxes of a cluster's controller, which has none of its own: the nodes of its pods have them.
public final class ClusterDriver: SandboxDriver {
    public let kind = "kubernetes"
    public let takesImages = true

    public init() {}

    public func recover() async throws(SandboxError) {}
    public func names() -> [String] { [] }
    public func create(_ spec: SandboxSpec) async throws(SandboxError) {
        throw .invalidSpec(reason: "a cluster runs \(spec.name) in a pod with a peer of its own, and this is its controller")
    }
    public func own(_ folder: String) throws(SandboxError) {}
    public func prepare(_ name: String) async throws(SandboxError) { throw .unknown(name: name) }
    public func setCredentials(of name: String, _ files: [String: [UInt8]]) async throws(SandboxError) {
        throw .unknown(name: name)
    }
    public func start(_ name: String) async throws(SandboxError) { throw .unknown(name: name) }
    public func waitUntilReady(_ name: String, within limit: Duration) async throws(SandboxError) { throw .unknown(name: name) }
    public func freeze(_ name: String) async throws(SandboxError) { throw .unknown(name: name) }
    public func thaw(_ name: String) async throws(SandboxError) { throw .unknown(name: name) }
    public func stop(_ name: String, grace: Duration) async throws(SandboxError) { throw .unknown(name: name) }
    public func remove(_ name: String) async throws(SandboxError) { throw .unknown(name: name) }
    public func spec(of name: String) throws(SandboxError) -> SandboxSpec { throw .unknown(name: name) }
    public func state(of name: String) throws(SandboxError) -> SandboxState { throw .unknown(name: name) }
    public func confinement(of name: String) throws(SandboxError) -> SandboxConfinement { throw .unknown(name: name) }
    public func folders(of name: String) throws(SandboxError) -> SandboxFolders { throw .unknown(name: name) }
    public func gatewaySocket(of name: String) throws(SandboxError) -> String { throw .unknown(name: name) }
    public func logs(of name: String, lines: Int) throws(SandboxError) -> String { throw .unknown(name: name) }
    public func readLog(of name: String, _ log: SandboxLog, from start: LogStart) throws(SandboxError) -> LogPart {
        throw .unknown(name: name)
    }
    public func end(of name: String) throws(SandboxError) -> Task<Int32?, Never> { throw .unknown(name: name) }
    public func waitForExit(of name: String) async throws(SandboxError) -> Int32? { throw .unknown(name: name) }
}
