import Dispatch
import FoundationEssentials
import Glibc
import Observability
import Storage
import Synchronization
import Transport

/// Sandboxes of bubblewrap, without a container engine: user, pid, mount, network, IPC, host name and cgroup
/// namespaces of their own, no network but loopback, no capability, a root made from nothing.
///
/// Everything of a sandbox lies in `<root>/<name>/`. Bubblewrap maps one user: uid 1000 inside is the node's
/// user outside, so the workspace belongs to the node's user on the host. Run the node as an unprivileged
/// user: what the kernel allows the host's root by its number alone, it then allows no sandbox.
///
/// Sandboxes outlive the node: ``recover()`` of the next one adopts them.
public final class EmbeddedDriver: SandboxDriver {
    public let kind = "embedded"
    public let takesImages = false

    private typealias Shelf = SandboxShelf<RunningSandbox, Launch.Standby>

    private let karsExecutable: String
    private let logger: Logger
    private let shelf: Shelf
    private var table: Shelf.Table { shelf.table }
    private let host = Mutex<HostLayout?>(nil)
    private let queue = DispatchQueue(label: "kars.sandboxes.launch", attributes: .concurrent)

    /// - Parameters:
    ///   - root: the node's folder for sandboxes, made if need be; one driver at a time.
    ///   - karsExecutable: bound into every sandbox, where it is the init.
    ///   - loop: carries the readiness checks.
    public init(
        root: String, karsExecutable: String, loop: EventLoop, logger: Logger
    ) throws(SandboxError) {
        self.karsExecutable = karsExecutable
        self.logger = logger
        shelf = try Shelf(root: root, owner: nil, loop: loop, logger: logger)
    }

    /// Why this host cannot run embedded sandboxes; nil when it can.
    public static func obstacle() -> String? {
        guard access(Launch.bubblewrap, X_OK) == 0 else { return "\(Launch.bubblewrap) is not installed" }
        let filter: Int32
        do throws(SandboxError) { filter = try SystemCallFilter.file() } catch { return error.description }
        defer { close(filter) }
        guard let pipe = try? LinuxCalls.makePipe() else { return "no pipe can be made" }
        defer { close(pipe.read) }
        let pid = try? Spawn.start(
            [
                Launch.bubblewrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--disable-userns",
                "--seccomp", "3", "--ro-bind", "/", "/", "/bin/true",
            ], environment: [:], descriptors: [pipe.write, pipe.write, pipe.write, filter])
        close(pipe.write)
        let said = readText(pipe.read) { _ in false }
        guard let pid, let status = Spawn.reap(pid) else { return "\(Launch.bubblewrap) does not run" }
        return status == 0 ? nil : said.trimmedLine
    }

    // MARK: - Life

    public func recover() async throws(SandboxError) {
        for spec in try shelf.stored() {
            let (name, folders) = (spec.name, SandboxFolders(root: shelf.root, name: spec.name))
            var entry = Shelf.Table.Entry(spec: spec)
            if let record = RunRecord.read(folders.record) {
                if let running = RunningSandbox(record: record, folders: folders, isChild: false) {
                    logger.info("adopted a running sandbox", ["sandbox": name, "pid": running.pid])
                    entry.socket = try? folders.openSocket()
                    entry.running = running
                } else {
                    _ = record.groups.remove()
                    shelf.forgetCredentials(of: name)
                    entry.exit = .some(RunningSandbox.exitStatus(folders))
                }
            } else {
                // Given for a start that a crash prevented.
                shelf.forgetCredentials(of: name)
            }
            if table.insert(entry), let running = entry.running { watch(running, name) }
        }
    }

    public func create(_ spec: SandboxSpec) async throws(SandboxError) {
        if let image = spec.image { throw .invalidSpec(reason: "embedded sandboxes take no image such as \(image)") }
        try shelf.create(spec)
    }

    /// The agent is this process's user.
    public func own(_ folder: String) throws(SandboxError) {}

    public func prepare(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        defer { table.finish(name) }
        guard entry.standby == nil else { return }
        let standby = try await standby(launch(entry.spec), loaded: entry.spec.knowsStandby)
        table.change(name) { $0.standby = standby }
    }

    public func start(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        defer { table.finish(name) }
        let launch = try launch(entry.spec)
        var standby = entry.standby
        table.change(name) { $0.standby = nil }
        if let waiting = standby, waiting.running.hasEnded {
            waiting.discard()
            standby = nil
        }
        let ready: Launch.Standby
        if let standby { ready = standby } else { ready = try await self.standby(launch, loaded: false) }
        try await shelf.starting(name) { () throws(SandboxError) in try ready.startAgent(launch) }
        table.change(name) {
            $0.running = ready.running
            $0.exit = nil
            $0.keep(ready.socket)
        }
        watch(ready.running, name)
        logger.info("started a sandbox", ["sandbox": name, "pid": ready.running.pid])
    }

    private func launch(_ spec: SandboxSpec) throws(SandboxError) -> Launch {
        Launch(
            spec: spec, folders: SandboxFolders(root: shelf.root, name: spec.name), host: try layout(),
            karsExecutable: karsExecutable, groupName: "kars-\(spec.name)-\(shelf.tag)",
            credentials: shelf.credentials(of: spec.name))
    }

    public func setCredentials(of name: String, _ files: [String: [UInt8]]) async throws(SandboxError) {
        _ = try table.entry(name)
        try shelf.credentials(of: name).replace(with: files)
    }

    private func standby(_ launch: Launch, loaded: Bool) async throws(SandboxError) -> Launch.Standby {
        try await shelf.starting(launch.spec.name) { () throws(SandboxError) in
            try await withCheckedContinuation { continuation in
                queue.async {
                    continuation.resume(
                        returning: Result { () throws(SandboxError) in try launch.prepare(loaded: loaded) })
                }
            }.get()
        }
    }

    /// Ends a sandbox that waits for its start, with everything of it.
    private func discardStandby(_ name: String, _ entry: Shelf.Table.Entry) async {
        guard let standby = entry.standby else { return }
        table.change(name) { $0.standby = nil }
        standby.discard()
        _ = await standby.running.waitForEnd()
        _ = await standby.running.collect()
        shelf.forgetCredentials(of: name)
    }

    public func freeze(_ name: String) async throws(SandboxError) {
        let running = try shelf.claimRunning(name)
        defer { table.finish(name) }
        try await running.freeze(name: name)
    }

    public func thaw(_ name: String) async throws(SandboxError) {
        let running = try shelf.claimRunning(name)
        defer { table.finish(name) }
        try running.thaw()
    }

    public func stop(_ name: String, grace: Duration) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "there") { _ in true }
        defer { table.finish(name) }
        await discardStandby(name, entry)
        guard let running = entry.running else { return }
        if grace > .zero {
            running.signal(SIGTERM)
            // A frozen process takes the signal when it runs again.
            try? running.thaw()
            if await !running.waitForEnd(within: grace) {
                logger.warn("a sandbox did not stop in time", ["sandbox": name])
                running.signal(SIGKILL)
            }
        } else {
            // Killed as they stand: of a frozen sandbox nobody must run for another moment.
            running.killAll()
            try? running.thaw()
        }
        _ = await entry.end?.value
    }

    public func remove(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        await discardStandby(name, entry)
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
        guard let running = try table.entry(name).running else { throw .wrongState(name: name, needed: "running") }
        return running.record.confinement
    }

    private func watch(_ running: RunningSandbox, _ name: String) {
        shelf.watch(running, name) {
            _ = await running.waitForEnd()
            return await running.collect()
        }
    }

    private func layout() throws(SandboxError) -> HostLayout {
        if let known = host.withLock({ $0 }) { return known }
        let read = try HostLayout.read(karsExecutable: karsExecutable)
        host.withLock { $0 = read }
        return read
    }
}
