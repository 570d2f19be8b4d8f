import Dispatch
import FoundationEssentials
import Glibc
import Observability
import Storage
import Synchronization
import Transport

/// Sandboxes as containers of a Docker engine on this machine: no network but loopback, no capability, a read-only root,
/// the engine's seccomp profile, user 1000.
///
/// Everything of a sandbox lies in `<root>/<name>/`, as with the embedded driver, and is mounted into the container. The
/// agent is user 1000 on the host too where the node is root, else the node's own user, so that the node can always
/// read and restore the workspace.
///
/// Containers outlive the node: ``recover()`` of the next one adopts them.
public final class DockerDriver: SandboxDriver {
    public let kind = "docker"
    public let takesImages = true

    /// An image without a file: what a sandbox needs is mounted.
    private static let repository = "kars-sandbox"
    private static let tag = "v1"
    /// A tar archive that holds nothing: its end alone.
    private static let emptyArchive = [UInt8](repeating: 0, count: 1024)

    private typealias Shelf = SandboxShelf<DockerRun, DockerStart.Standby>

    private let karsExecutable: String
    private let logger: Logger
    private let engine: DockerEngine
    private let registries: RegistryLogin
    private let shelf: Shelf
    private var table: Shelf.Table { shelf.table }
    /// By which its containers are known.
    var tag: String { shelf.tag }
    private let queue = DispatchQueue(label: "kars.sandboxes.docker")
    /// A helper may wait for a person.
    private static let logins = DispatchQueue(label: "kars.sandboxes.logins", attributes: .concurrent)
    private let known = Mutex<(facts: DockerEngine.Facts, runtime: DockerRuntime)?>(nil)

    /// Who the agents are on this host.
    private static let agent =
        geteuid() == 0 ? SandboxLayout.agent : SandboxOwner(user: geteuid(), group: getegid())

    /// - Parameters:
    ///   - root: the node's folder for sandboxes, made if need be; one driver at a time.
    ///   - karsExecutable: mounted into every container with its libraries, where it is the init.
    ///   - environment: may name the engine's socket (`DOCKER_HOST`), and where Docker's configuration lies.
    ///   - loop: carries the requests to the engine and the readiness checks.
    public init(
        root: String, karsExecutable: String, environment: [String: String], loop: EventLoop, logger: Logger
    ) throws(SandboxError) {
        self.karsExecutable = karsExecutable
        self.logger = logger
        engine = DockerEngine(socket: try DockerEngine.socket(environment), loop: loop)
        registries = RegistryLogin(environment: environment)
        shelf = try Shelf(root: root, owner: Self.agent, loop: loop, logger: logger)
    }

    /// Why no sandbox can be made with the engine that the environment names; nil when one can.
    public static func obstacle(environment: [String: String], loop: EventLoop) async -> String? {
        do throws(SandboxError) {
            let engine = DockerEngine(socket: try DockerEngine.socket(environment), loop: loop)
            guard access(engine.socket, R_OK | W_OK) == 0 else {
                return "\(engine.socket): \(String(cString: strerror(errno)))"
            }
            return Self.problem(of: try await engine.facts())
        } catch { return error.description }
    }

    private static func problem(of facts: DockerEngine.Facts) -> String? {
        // A workspace must belong to the agent inside and be the node's to restore outside, and freezing needs a control
        // group.
        switch facts.userMapping {
        case .rootless:
            "it is rootless, so an agent's user inside is one outside whose files this node cannot restore, and it may "
                + "not be able to pause; '--driver embedded' confines agents without root too"
        case .remapped:
            "it gives users in containers other numbers (userns-remap), so this node cannot restore an agent's files; use "
                + "an engine without it, or '--driver embedded'"
        case nil: nil
        }
    }

    // MARK: - Life

    public func recover() async throws(SandboxError) {
        let runtime = try await foundations().runtime
        var adopted: Set<String> = []
        for spec in try shelf.stored() {
            let (name, folders) = (spec.name, SandboxFolders(root: shelf.root, name: spec.name))
            var entry = Shelf.Table.Entry(spec: spec)
            if let record = ContainerRecord.read(folders.container) {
                let found = try await engine.inspect(record.id)
                if let state = found?.state, state.running {
                    logger.info("adopted a running sandbox", ["sandbox": name, "container": record.id.prefix(12)])
                    entry.socket = try? folders.openSocket()
                    entry.running = DockerRun(
                        id: record.id, name: name, pid: state.pid, engine: engine, isFrozen: state.paused)
                    adopted.insert(record.id)
                } else {
                    entry.exit = .some(found?.state.exitCode)
                    shelf.forgetCredentials(of: name)
                }
            } else {
                // Given for a start that a crash prevented.
                shelf.forgetCredentials(of: name)
            }
            if table.insert(entry), let running = entry.running { watch(running, name) }
        }
        // What a node left that ended before it told an agent to start.
        for (id, _) in try await engine.list(label: DockerContainer.nodeLabel, value: shelf.tag)
        where !adopted.contains(id) {
            try await engine.remove(id)
        }
        // Of other builds of kars; what runs may still have one of them mounted.
        if adopted.isEmpty { runtime.removeOthers() }
    }

    /// What the engine can do, and what is mounted into every container; made once.
    private func foundations() async throws(SandboxError) -> (facts: DockerEngine.Facts, runtime: DockerRuntime) {
        if let known = known.withLock({ $0 }) { return known }
        let facts = try await engine.facts()
        if let problem = Self.problem(of: facts) { throw .engine(reason: problem) }
        if try await engine.image("\(Self.repository):\(Self.tag)") == nil {
            try await engine.importImage(Self.emptyArchive, repository: Self.repository, tag: Self.tag)
        }
        let (root, executable) = (shelf.root, karsExecutable)
        let runtime = try await withCheckedContinuation { continuation in
            queue.async {
                continuation.resume(returning: Result { () throws(SandboxError) in
                    try DockerRuntime.make(root: root, karsExecutable: executable)
                })
            }
        }.get()
        known.withLock { $0 = (facts, runtime) }
        return (facts, runtime)
    }

    public func create(_ spec: SandboxSpec) async throws(SandboxError) { try shelf.create(spec) }

    public func own(_ folder: String) throws(SandboxError) { try Self.agent.own(folder) }

    public func prepare(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        defer { table.finish(name) }
        guard entry.standby == nil else { return }
        let standby = try await standby(entry.spec, loaded: entry.spec.knowsStandby)
        table.change(name) { $0.standby = standby }
    }

    public func start(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        defer { table.finish(name) }
        let standby = entry.standby
        table.change(name) { $0.standby = nil }
        var ready: DockerStart.Standby?
        if let standby {
            do throws(SandboxError) {
                try await begin(standby, entry.spec)
                ready = standby
            } catch {
                // It ended meanwhile, as with an engine that was started anew.
                logger.warn("a standby is made again", ["sandbox": name, "error": "\(error)"])
            }
        }
        let started: DockerStart.Standby
        if let ready {
            started = ready
        } else {
            started = try await self.standby(entry.spec, loaded: false)
            try await shelf.starting(name) { () throws(SandboxError) in try await begin(started, entry.spec) }
        }
        table.change(name) {
            $0.running = started.run
            $0.exit = nil
            $0.keep(started.socket)
        }
        watch(started.run, name)
        logger.info("started a sandbox", ["sandbox": name, "container": started.run.id.prefix(12)])
    }

    /// Has the agent of a container that is ready begin; when this throws the container is gone.
    private func begin(_ ready: DockerStart.Standby, _ spec: SandboxSpec) async throws(SandboxError) {
        do throws(SandboxError) {
            // On disk before the agent runs: a later node finds every container whose agent does.
            let facts = try await foundations().facts
            try JSONFile.write(
                ContainerRecord(id: ready.run.id, confinement: confinement(spec.limits, facts)),
                to: SandboxFolders(root: shelf.root, name: spec.name).container)
        } catch {
            ready.discard()
            try? await engine.remove(ready.run.id)
            throw error
        }
        do throws(SandboxError) { try ready.startAgent() } catch {
            try? await engine.remove(ready.run.id)
            throw error
        }
    }

    private func standby(_ spec: SandboxSpec, loaded: Bool) async throws(SandboxError) -> DockerStart.Standby {
        try await shelf.starting(spec.name) { () throws(SandboxError) in
            let (facts, runtime) = try await foundations()
            let start = DockerStart(
                engine: engine, spec: spec, folders: SandboxFolders(root: shelf.root, name: spec.name),
                credentials: shelf.credentials(of: spec.name), runtime: runtime, owner: Self.agent, facts: facts,
                node: shelf.tag)
            return try await start.prepare(loaded: loaded, image: try await image(of: spec))
        }
    }

    /// What the engine is told of this node's account at an image's registry.
    private func login(for image: String) async throws(SandboxError) -> String? {
        let registries = registries
        let result = await withCheckedContinuation { continuation in
            Self.logins.async {
                continuation.resume(returning: Result { () throws(SandboxError) in try registries.header(for: image) })
            }
        }
        return try result.get()
    }

    public func fetchImage(
        _ name: String, report: @escaping @Sendable (ImageProgress) -> Void
    ) async throws(SandboxError) {
        guard SandboxSpec.isImage(name) else { throw .invalidSpec(reason: "\(name) is no name of an image") }
        guard try await engine.image(name) == nil else { return }
        logger.info("fetching an image", ["image": name])
        try await engine.pull(name, login: try await login(for: name), report: report)
    }

    /// What a sandbox comes in; fetched where it is not here yet.
    private func image(of spec: SandboxSpec) async throws(SandboxError) -> (name: String, facts: DockerEngine.Image?) {
        guard let name = spec.image else { return ("\(Self.repository):\(Self.tag)", nil) }
        try await fetchImage(name) { _ in }
        guard let image = try await engine.image(name) else { throw .engine(reason: "the image \(name) is not there") }
        // Others are the runtimes that kars knows by name.
        if spec.runtimeKind == "byo", image.Config?.Labels?[ImageContract.label] != ImageContract.version {
            throw .invalidSpec(
                reason: "the image \(name) is not labelled \(ImageContract.label)=\(ImageContract.version), so it does not "
                    + "say that it keeps the runtime contract")
        }
        guard !spec.command.isEmpty || !image.command.isEmpty else {
            throw .invalidSpec(reason: "the image \(name) names no command")
        }
        return (name, image)
    }

    public func setCredentials(of name: String, _ files: [String: [UInt8]]) async throws(SandboxError) {
        _ = try table.entry(name)
        try shelf.credentials(of: name).replace(with: files)
    }

    /// Ends a container that waits for its start, with everything of it.
    private func discardStandby(_ name: String, _ entry: Shelf.Table.Entry) async {
        guard let standby = entry.standby else { return }
        table.change(name) { $0.standby = nil }
        standby.discard()
        try? await engine.remove(standby.run.id)
        shelf.forgetCredentials(of: name)
    }

    public func freeze(_ name: String) async throws(SandboxError) {
        let running = try shelf.claimRunning(name)
        defer { table.finish(name) }
        try await running.freeze()
    }

    public func thaw(_ name: String) async throws(SandboxError) {
        let running = try shelf.claimRunning(name)
        defer { table.finish(name) }
        try await running.thaw()
    }

    public func stop(_ name: String, grace: Duration) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "there") { _ in true }
        defer { table.finish(name) }
        await discardStandby(name, entry)
        guard let running = entry.running, let end = entry.end else { return }
        if grace > .zero {
            try await running.signal("TERM")
            if await !TaskEnd.comes(end, within: grace) {
                logger.warn("a sandbox did not stop in time", ["sandbox": name])
                try await running.signal("KILL")
            }
        } else {
            // Killed as it stands: a frozen agent must not run for another moment.
            try await running.signal("KILL")
        }
        _ = await end.value
    }

    public func remove(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        await discardStandby(name, entry)
        do throws(SandboxError) { try await engine.removeAll(of: name, node: shelf.tag) } catch {
            table.finish(name)
            throw error
        }
        try shelf.remove(name)
    }

    // MARK: - Facts

    public func names() -> [String] { table.names }
    public func spec(of name: String) throws(SandboxError) -> SandboxSpec { try table.entry(name).spec }
    public func state(of name: String) throws(SandboxError) -> SandboxState { try shelf.state(of: name) }
    public func folders(of name: String) throws(SandboxError) -> SandboxFolders { try shelf.folders(of: name) }

    public func gatewaySocket(of name: String) throws(SandboxError) -> String { try shelf.gatewaySocket(of: name) }

    public func waitUntilReady(_ name: String, within limit: Duration) async throws(SandboxError) {
        try await shelf.waitUntilReady(name, within: limit)
    }

    public func end(of name: String) throws(SandboxError) -> Task<Int32?, Never> { try shelf.end(of: name) }

    public func waitForExit(of name: String) async throws(SandboxError) -> Int32? {
        try await shelf.waitForExit(of: name)
    }

    public func logs(of name: String, lines: Int) throws(SandboxError) -> String {
        try shelf.logs(of: name, lines: lines)
    }

    public func readLog(
        of name: String, _ log: SandboxLog, from start: LogStart
    ) throws(SandboxError) -> LogPart {
        try shelf.readLog(of: name, log, from: start)
    }

    public func confinement(of name: String) throws(SandboxError) -> SandboxConfinement {
        let entry = try table.entry(name)
        guard entry.running != nil,
            let record = ContainerRecord.read(SandboxFolders(root: shelf.root, name: name).container)
        else { throw .wrongState(name: name, needed: "running") }
        return record.confinement
    }

    private func confinement(_ limits: SandboxSpec.Limits, _ facts: DockerEngine.Facts) -> SandboxConfinement {
        var confinement = SandboxConfinement()
        confinement.freezer = "cgroup"
        for (name, isKnown, limit) in [
            ("cpu", facts.cpuQuota, limits.cpuPercent), ("memory", facts.memoryLimit, limits.memoryBytes),
            ("pids", facts.pidsLimit, limits.pids),
        ] where isKnown == true && limit > 0 {
            confinement.groupLimits.append(name)
        }
        confinement.processLimits = ["core"] + (limits.openFiles > 0 ? ["nofile"] : [])
        if limits.memoryBytes > 0, facts.memoryLimit != true { confinement.processLimits.append("as") }
        return confinement
    }

    private func watch(_ running: DockerRun, _ name: String) {
        shelf.watch(running, name) { await running.collect() }
    }
}
