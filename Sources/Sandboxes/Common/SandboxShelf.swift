import FoundationEssentials
import Glibc
import Observability
import Storage
import Transport

/// The sandboxes of one folder of this machine, whatever runs them: their files, and what is known of each.
final class SandboxShelf<Running: LivingSandbox, Standby: StandbySandbox>: Sendable {
    typealias Table = SandboxTable<Running, Standby>

    let root: String
    let table = Table()
    /// Who the agents are on this host; nil for this process's user.
    private let owner: SandboxOwner?
    /// Where the credentials of the only sandbox are mounted; nil where each gets a folder of its own.
    private let mountedCredentials: String?
    private let logger: Logger
    private let client: HTTPClient
    private let lock: FileLock

    /// Makes the folder if need be; one driver at a time.
    init(
        root: String, owner: SandboxOwner?, mountedCredentials: String? = nil, loop: EventLoop, logger: Logger
    ) throws(SandboxError) {
        self.root = root
        self.owner = owner
        self.mountedCredentials = mountedCredentials
        self.logger = logger
        client = HTTPClient(loop: loop, timeout: .seconds(2), maximumBodyBytes: 65_536)
        do {
            try AtomicFile.makeFolder(root)
            lock = try FileLock(path: root + "/.lock")
        } catch { throw .system(what: root, reason: "\(error)") }
    }

    /// Tells what two nodes on one host made apart: FNV-1a of the folder.
    var tag: String {
        let hash = root.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return String(hash, radix: 16)
    }

    // MARK: Files

    /// The specifications that lie in the folder.
    func stored() throws(SandboxError) -> [SandboxSpec] {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: root) } catch {
            throw .system(what: root, reason: "\(error)")
        }
        return names.sorted().filter(SandboxSpec.isName).compactMap { name in
            let path = SandboxFolders(root: root, name: name).spec
            guard let bytes = (try? AtomicFile.read(path)) ?? nil,
                let spec = try? JSONDecoder().decode(SandboxSpec.self, from: Data(bytes)), spec.name == name
            else { return nil }
            return spec
        }
    }

    func create(_ spec: SandboxSpec) throws(SandboxError) {
        try spec.validate()
        guard table.insert(Table.Entry(spec: spec, isBusy: true)) else { throw .alreadyExists(name: spec.name) }
        let folders = SandboxFolders(root: root, name: spec.name)
        do throws(SandboxError) {
            do {
                for folder in [folders.workspace, folders.logs] { try AtomicFile.makeFolder(folder) }
            } catch { throw .system(what: folders.root, reason: "\(error)") }
            try owner?.own(folders.workspace)
            try JSONFile.write(spec, to: folders.spec)
        } catch {
            table.remove(spec.name)
            throw error
        }
        table.finish(spec.name)
    }

    /// Deletes what a claimed sandbox has on the disk, and forgets it.
    ///
    /// - Parameter keepsFolders: they are mounted elsewhere, so only what is in them goes.
    func remove(_ name: String, keepsFolders: Bool = false) throws(SandboxError) {
        let folders = SandboxFolders(root: root, name: name)
        do throws(SandboxError) {
            // First the file that makes it a sandbox, so that a crash leaves no half of one.
            guard unlink(folders.spec) == 0 || errno == ENOENT else { throw .lastFailure(folders.spec) }
            try credentials(of: name).remove()
            if keepsFolders {
                for folder in [folders.workspace, folders.run, folders.logs, folders.etc] { try emptyFolder(folder) }
                for file in [folders.record, folders.status, folders.container] where unlink(file) != 0 && errno != ENOENT {
                    throw .lastFailure(file)
                }
            } else {
                try removeTree(folders.root)
            }
        } catch {
            table.finish(name)
            throw error
        }
        table.remove(name)
    }

    func folders(of name: String) throws(SandboxError) -> SandboxFolders {
        _ = try table.entry(name)
        return SandboxFolders(root: root, name: name)
    }

    func credentials(of name: String) -> CredentialFolder {
        mountedCredentials.map(CredentialFolder.init(mounted:)) ?? CredentialFolder(sandbox: name, tag: tag, owner: owner)
    }

    /// They lie in memory only while the sandbox needs them.
    func forgetCredentials(of name: String) { Self.forget(credentials(of: name), of: name, logger) }

    /// Does what starts a sandbox; where that fails its credentials are forgotten too, as nothing will end that uses them.
    func starting<Value: Sendable>(
        _ name: String, _ body: () async throws(SandboxError) -> Value
    ) async throws(SandboxError) -> Value {
        do throws(SandboxError) { return try await body() } catch {
            forgetCredentials(of: name)
            throw error
        }
    }

    private static func forget(_ credentials: CredentialFolder, of name: String, _ logger: Logger) {
        do { try credentials.remove() } catch {
            logger.warn("credentials of a sandbox that ended are still in memory", ["sandbox": name, "error": "\(error)"])
        }
    }

    func logs(of name: String, lines: Int) throws(SandboxError) -> String {
        let folders = try folders(of: name)
        let stored = LogTail.lines(lines, of: [folders.agentLog, folders.rotatedAgentLog])
        return LogPart(text: stored, end: 0).lines.map { $0.text + "\n" }.joined()
    }

    func readLog(of name: String, _ log: SandboxLog, from start: LogStart) throws(SandboxError) -> LogPart {
        let folders = try folders(of: name)
        switch log {
        case .agent: return LogReader(current: folders.agentLog, previous: folders.rotatedAgentLog).part(from: start)
        case .host: return LogReader(current: folders.initLog, previous: folders.initLog + ".1").part(from: start)
        }
    }

    // MARK: Life

    func state(of name: String) throws(SandboxError) -> SandboxState {
        let entry = try table.entry(name)
        if let running = entry.running, !running.hasEnded {
            return running.isFrozen ? .frozen(pid: running.pid) : .running(pid: running.pid)
        }
        if entry.running != nil { return .stopped(exit: nil) }
        return entry.exit.map { .stopped(exit: $0) } ?? .created
    }

    /// Names the socket through an open descriptor: the agent can put anything at the socket's path, such as
    /// a link to a socket of the host, but not change what this path means. It is also short, however deep
    /// the sandbox's folder lies.
    func gatewaySocket(of name: String) throws(SandboxError) -> String {
        let entry = try table.entry(name)
        guard entry.running != nil, let socket = entry.socket else {
            throw .wrongState(name: name, needed: "running")
        }
        return "/proc/self/fd/\(socket)"
    }

    func waitUntilReady(_ name: String, within limit: Duration) async throws(SandboxError) {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline, !Task.isCancelled {
            guard let path = try? gatewaySocket(of: name) else { break }
            let url = ServiceURL(unixSocket: path, target: "/healthz")
            if let answer = try? await client.send(HTTPClientRequest(url: url)), answer.status == 200 { return }
            try? await Task.sleep(for: .milliseconds(5))
        }
        throw .notReady(name: name)
    }

    func claimRunning(_ name: String) throws(SandboxError) -> Running {
        let entry = try table.begin(name, needed: "running") { $0.running?.hasEnded == false }
        guard let running = entry.running else { preconditionFailure("the claim looked for it") }
        return running
    }

    /// Follows a sandbox to its end.
    ///
    /// - Parameter collect: waits for the end, removes what is left of it, and returns the agent's status.
    func watch(_ running: Running, _ name: String, collect: @escaping @Sendable () async -> Int32?) {
        // Without this object, which holds the folder locked: a next driver must get it while sandboxes run.
        let end = Task { [table, logger, credentials = credentials(of: name)] in
            let exit = await collect()
            Self.forget(credentials, of: name, logger)
            logger.info("a sandbox ended", ["sandbox": name, "exit": exit.map(String.init) ?? "unknown"])
            table.change(name) {
                $0.running = nil
                $0.exit = .some(exit)
            }
            return exit
        }
        table.change(name) { $0.end = end }
    }

    func end(of name: String) throws(SandboxError) -> Task<Int32?, Never> {
        guard let end = try table.entry(name).end else { throw .wrongState(name: name, needed: "started") }
        return end
    }

    func waitForExit(of name: String) async throws(SandboxError) -> Int32? {
        let entry = try table.entry(name)
        if let end = entry.end { return await end.value }
        guard let exit = entry.exit else { throw .wrongState(name: name, needed: "started") }
        return exit
    }
}
