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

    private let root: String
    private let karsExecutable: String
    private let logger: Logger
    private let client: HTTPClient
    private let lock: FileLock
    private let table = SandboxTable()
    private let host = Mutex<HostLayout?>(nil)
    private let queue = DispatchQueue(label: "kars.sandboxes.launch", attributes: .concurrent)

    /// - Parameters:
    ///   - root: the node's folder for sandboxes, made if need be; one driver at a time.
    ///   - karsExecutable: bound into every sandbox, where it is the init.
    ///   - loop: carries the readiness checks.
    public init(
        root: String, karsExecutable: String, loop: EventLoop, logger: Logger
    ) throws(SandboxError) {
        self.root = root
        self.karsExecutable = karsExecutable
        self.logger = logger
        client = HTTPClient(loop: loop, timeout: .seconds(2), maximumBodyBytes: 65_536)
        do {
            try AtomicFile.makeFolder(root)
            lock = try FileLock(path: root + "/.lock")
        } catch { throw .system(what: root, reason: "\(error)") }
    }

    /// Why this host cannot run embedded sandboxes; nil when it can.
    public static func obstacle() -> String? {
        guard access(Launch.bubblewrap, X_OK) == 0 else { return "\(Launch.bubblewrap) is not installed" }
        guard let pipe = try? LinuxCalls.makePipe() else { return "no pipe can be made" }
        defer { close(pipe.read) }
        let pid = try? Spawn.start(
            [
                Launch.bubblewrap, "--unshare-user", "--unshare-pid", "--unshare-net", "--disable-userns",
                "--ro-bind", "/", "/", "/bin/true",
            ], environment: [:], descriptors: [pipe.write, pipe.write, pipe.write])
        close(pipe.write)
        let said = readText(pipe.read) { _ in false }
        guard let pid, let status = Spawn.reap(pid) else { return "\(Launch.bubblewrap) does not run" }
        return status == 0 ? nil : said.trimmedLine
    }

    // MARK: - Life

    public func recover() async throws(SandboxError) {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: root) } catch {
            throw .system(what: root, reason: "\(error)")
        }
        for name in names.sorted() where SandboxSpec.isName(name) {
            let folders = SandboxFolders(root: root, name: name)
            guard let bytes = (try? AtomicFile.read(folders.spec)) ?? nil,
                let spec = try? JSONDecoder().decode(SandboxSpec.self, from: Data(bytes)), spec.name == name
            else { continue }
            var entry = SandboxTable.Entry(spec: spec)
            if let record = RunRecord.read(folders.record) {
                if let running = RunningSandbox(record: record, folders: folders, isChild: false) {
                    logger.info("adopted a running sandbox", ["sandbox": name, "pid": running.pid])
                    entry.socket = try? Launch.openSocket(folders)
                    entry.running = running
                } else {
                    _ = record.groups.remove()
                    forgetCredentials(name)
                    entry.exit = .some(RunningSandbox.exitStatus(folders))
                }
            }
            if table.insert(entry), let running = entry.running { watch(running, name) }
        }
    }

    public func names() -> [String] { table.names }

    public func create(_ spec: SandboxSpec) async throws(SandboxError) {
        try spec.validate()
        guard table.insert(SandboxTable.Entry(spec: spec, isBusy: true)) else {
            throw .alreadyExists(name: spec.name)
        }
        let folders = SandboxFolders(root: root, name: spec.name)
        do throws(SandboxError) {
            do {
                for folder in [folders.workspace, folders.logs] { try AtomicFile.makeFolder(folder) }
            } catch { throw .system(what: folders.root, reason: "\(error)") }
            try JSONFile.write(spec, to: folders.spec)
        } catch {
            table.remove(spec.name)
            throw error
        }
        table.finish(spec.name)
    }

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
        try ready.startAgent(launch)
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
            spec: spec, folders: SandboxFolders(root: root, name: spec.name), host: try layout(),
            karsExecutable: karsExecutable, groupName: "kars-\(spec.name)-\(rootTag)",
            credentials: CredentialFolder(sandbox: spec.name, tag: rootTag))
    }

    public func setCredentials(of name: String, _ files: [String: [UInt8]]) async throws(SandboxError) {
        _ = try table.entry(name)
        try CredentialFolder(sandbox: name, tag: rootTag).replace(with: files)
    }

    private func standby(_ launch: Launch, loaded: Bool) async throws(SandboxError) -> Launch.Standby {
        try await withCheckedContinuation { continuation in
            queue.async {
                continuation.resume(returning: Result { () throws(SandboxError) in try launch.prepare(loaded: loaded) })
            }
        }.get()
    }

    /// Ends a sandbox that waits for its start, with everything of it.
    private func discardStandby(_ name: String, _ entry: SandboxTable.Entry) async {
        guard let standby = entry.standby else { return }
        table.change(name) { $0.standby = nil }
        standby.discard()
        _ = await standby.running.waitForEnd()
        _ = await standby.running.collect()
        forgetCredentials(name)
    }

    public func waitUntilReady(_ name: String, within limit: Duration) async throws(SandboxError) {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline, !Task.isCancelled {
            guard let path = try? gatewaySocket(of: name) else { break }
            let url = ServiceURL(unixSocket: path, target: "/healthz")
            if let answer = try? await client.send(HTTPClientRequest(url: url)), answer.status == 200 { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
        throw .notReady(name: name)
    }

    public func freeze(_ name: String) async throws(SandboxError) {
        let running = try claimRunning(name)
        defer { table.finish(name) }
        try await running.freeze(name: name)
    }

    public func thaw(_ name: String) async throws(SandboxError) {
        let running = try claimRunning(name)
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
            // Killed as it stands: a frozen agent must not run for another moment.
            running.signal(SIGKILL)
            try? running.thaw()
        }
        _ = await entry.end?.value
    }

    public func remove(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        await discardStandby(name, entry)
        let folders = SandboxFolders(root: root, name: name)
        do throws(SandboxError) {
            // First the file that makes it a sandbox, so that a crash leaves no half of one.
            guard unlink(folders.spec) == 0 || errno == ENOENT else { throw .lastFailure(folders.spec) }
            try CredentialFolder(sandbox: name, tag: rootTag).remove()
            try removeTree(folders.root)
        } catch {
            table.finish(name)
            throw error
        }
        table.remove(name)
    }

    // MARK: - Facts

    public func spec(of name: String) throws(SandboxError) -> SandboxSpec { try table.entry(name).spec }

    public func state(of name: String) throws(SandboxError) -> SandboxState {
        let entry = try table.entry(name)
        if let running = entry.running, !running.hasEnded {
            return running.isFrozen ? .frozen(pid: running.pid) : .running(pid: running.pid)
        }
        if entry.running != nil { return .stopped(exit: nil) }
        return entry.exit.map { .stopped(exit: $0) } ?? .created
    }

    public func confinement(of name: String) throws(SandboxError) -> SandboxConfinement {
        guard let running = try table.entry(name).running else { throw .wrongState(name: name, needed: "running") }
        return running.record.confinement
    }

    public func folders(of name: String) throws(SandboxError) -> SandboxFolders {
        _ = try table.entry(name)
        return SandboxFolders(root: root, name: name)
    }

    /// Names the socket through an open descriptor: the agent can put anything at the socket's path, such as
    /// a link to a socket of the host, but not change what this path means. It is also short, however deep
    /// the sandbox's folder lies.
    public func gatewaySocket(of name: String) throws(SandboxError) -> String {
        let entry = try table.entry(name)
        guard entry.running != nil, let socket = entry.socket else {
            throw .wrongState(name: name, needed: "running")
        }
        return "/proc/self/fd/\(socket)"
    }

    public func logs(of name: String, lines: Int) throws(SandboxError) -> String {
        let folders = try folders(of: name)
        return LogTail.lines(lines, of: [folders.agentLog, folders.rotatedAgentLog])
    }

    public func readLog(
        of name: String, _ log: SandboxLog, from start: LogStart
    ) throws(SandboxError) -> LogPart {
        let folders = try folders(of: name)
        switch log {
        case .agent: return LogReader(current: folders.agentLog, previous: folders.rotatedAgentLog).part(from: start)
        case .host: return LogReader(current: folders.initLog, previous: folders.initLog + ".1").part(from: start)
        }
    }

    public func waitForExit(of name: String) async throws(SandboxError) -> Int32? {
        let entry = try table.entry(name)
        if let end = entry.end { return await end.value }
        guard let exit = entry.exit else { throw .wrongState(name: name, needed: "started") }
        return exit
    }

    /// They lie in memory only while the sandbox needs them.
    private func forgetCredentials(_ name: String) {
        do { try CredentialFolder(sandbox: name, tag: rootTag).remove() } catch {
            logger.warn("credentials of a sandbox that ended are still in memory", ["sandbox": name, "error": "\(error)"])
        }
    }

    private func claimRunning(_ name: String) throws(SandboxError) -> RunningSandbox {
        let entry = try table.begin(name, needed: "running") { $0.running?.hasEnded == false }
        guard let running = entry.running else { preconditionFailure("the claim looked for it") }
        return running
    }

    private func watch(_ running: RunningSandbox, _ name: String) {
        let end = Task { [table, logger, rootTag] in
            _ = await running.waitForEnd()
            let exit = await running.collect()
            try? CredentialFolder(sandbox: name, tag: rootTag).remove()
            logger.info("a sandbox ended", ["sandbox": name, "exit": exit.map(String.init) ?? "unknown"])
            table.change(name) {
                $0.running = nil
                $0.exit = .some(exit)
            }
            return exit
        }
        table.change(name) { $0.end = end }
    }

    private func layout() throws(SandboxError) -> HostLayout {
        if let known = host.withLock({ $0 }) { return known }
        let read = try HostLayout.read(karsExecutable: karsExecutable)
        host.withLock { $0 = read }
        return read
    }

    /// Tells the groups of two nodes on one host apart: FNV-1a of the folder.
    private var rootTag: String {
        let hash = root.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return String(hash, radix: 16)
    }
}
