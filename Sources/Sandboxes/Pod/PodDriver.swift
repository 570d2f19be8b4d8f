import Dispatch
import FoundationEssentials
import Glibc
import Observability
import Storage
import Transport

/// The sandbox of a pod in a cluster: one agent, in the container beside this node's.
///
/// Kubernetes makes and confines the containers; this driver runs the agent in its container through the attendant
/// there. The two containers share volumes: the workspace, the folder of sockets, the credentials (in memory), and the
/// folder in which node and attendant meet. Both run as the same user, because only a file's owner can restore it; each
/// sees its own processes and its own files alone.
///
/// An agent outlives its node's container; ``recover()`` of the next one takes it up.
public final class PodDriver: SandboxDriver {
    /// What the pod was made with.
    public struct Place: Sendable {
        /// The only name a sandbox can have here.
        public var sandbox: String
        /// The image of the agent's container; nil for kars's own.
        public var image: String?
        /// What an agent of the image runs that names nothing itself: a pod cannot ask its image.
        public var command: [String]
        /// The node's side of the folder in which it meets the attendant.
        public var link: String
        /// The node's side of the agent's credentials.
        public var credentials: String

        public init(
            sandbox: String, image: String? = nil, command: [String] = [], link: String = "/run/kars-link",
            credentials: String = "/run/kars-secrets"
        ) {
            self.sandbox = sandbox
            self.image = image
            self.command = command
            self.link = link
            self.credentials = credentials
        }
    }

    private typealias Standby = ReadySandbox<PodRun>
    private typealias Shelf = SandboxShelf<PodRun, Standby>

    public let kind = "pod"
    public var takesImages: Bool { place.image != nil }
    public let keepsWorkspaceFolder = true

    /// How long the agent's container may take to come, of a pod that starts.
    private static let patience = Duration.seconds(120)
    /// How long a node's start waits for an agent that may run.
    private static let adoptionPatience = Duration.seconds(15)

    private let place: Place
    private let owner = SandboxOwner(user: geteuid(), group: getegid())
    private let logger: Logger
    private let link: AttendantLink
    private let shelf: Shelf
    private var table: Shelf.Table { shelf.table }

    /// - Parameter root: the node's folder for sandboxes; the sandbox's `workspace` and `run` in it are mounted.
    public init(root: String, place: Place, loop: EventLoop, logger: Logger) throws(SandboxError) {
        self.place = place
        self.logger = logger
        shelf = try Shelf(
            root: root, owner: nil, mountedCredentials: place.credentials, loop: loop, logger: logger)
        link = try AttendantLink(folder: place.link, logger: logger)
        link.start()
    }

    deinit { link.stop() }

    // MARK: - Life

    public func recover() async throws(SandboxError) {
        for spec in try shelf.stored() {
            let (name, folders) = (spec.name, SandboxFolders(root: shelf.root, name: spec.name))
            var entry = Shelf.Table.Entry(spec: spec)
            if let record = PodRunRecord.read(folders.container) {
                // A pod whose container does not come has no agent that runs.
                let found = (try? await link.run(within: Self.adoptionPatience)) ?? nil
                if let found, found.id == record.run, !found.hasEnded {
                    logger.info("adopted a running sandbox", ["sandbox": name])
                    entry.socket = try? folders.openSocket()
                    entry.running = PodRun(id: record.run, link: link, isFrozen: found.wasFrozen)
                } else {
                    entry.exit = .some(found?.id == record.run ? found?.status : nil)
                    shelf.forgetCredentials(of: name)
                }
            } else {
                shelf.forgetCredentials(of: name)
            }
            if table.insert(entry), let running = entry.running { watch(running, name) }
        }
    }

    public func create(_ spec: SandboxSpec) async throws(SandboxError) {
        guard spec.name == place.sandbox else {
            throw .invalidSpec(reason: "this pod is the place of \(place.sandbox), not of \(spec.name)")
        }
        guard spec.image == place.image else {
            throw .invalidSpec(
                reason: "this pod was made for \(place.image.map { "the image \($0)" } ?? "no image"), and \(spec.name) has "
                    + (spec.image ?? "none"))
        }
        guard !command(of: spec).isEmpty else {
            throw .invalidSpec(reason: "the sandbox \(spec.name) needs a command: a pod cannot ask its image for one")
        }
        try shelf.create(spec)
    }

    private func command(of spec: SandboxSpec) -> [String] { spec.command.isEmpty ? place.command : spec.command }

    public func own(_ folder: String) throws(SandboxError) { try owner.own(folder) }

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
        let waiting = entry.standby
        table.change(name) { $0.standby = nil }
        var ready: Standby?
        if let waiting {
            do throws(SandboxError) {
                try begin(waiting, entry.spec)
                ready = waiting
            } catch {
                // It ended meanwhile, as with a container that was started anew.
                logger.warn("a standby is made again", ["sandbox": name, "error": "\(error)"])
            }
        }
        let started: Standby
        if let ready {
            started = ready
        } else {
            started = try await self.standby(entry.spec, loaded: false)
            try await shelf.starting(name) { () throws(SandboxError) in try begin(started, entry.spec) }
        }
        table.change(name) {
            $0.running = started.run
            $0.exit = nil
            $0.keep(started.socket)
        }
        watch(started.run, name)
        logger.info("started a sandbox", ["sandbox": name, "run": started.run.id])
    }

    /// Has the agent of a run that is ready begin. The record is on disk before, so that a later node finds it.
    private func begin(_ ready: Standby, _ spec: SandboxSpec) throws(SandboxError) {
        do throws(SandboxError) {
            try JSONFile.write(
                PodRunRecord(run: ready.run.id, confinement: Self.confinement(spec.limits)),
                to: SandboxFolders(root: shelf.root, name: spec.name).container)
        } catch {
            ready.discard()
            throw error
        }
        try ready.startAgent()
    }

    private func standby(_ spec: SandboxSpec, loaded: Bool) async throws(SandboxError) -> Standby {
        try await shelf.starting(spec.name) { () throws(SandboxError) in
            let folders = SandboxFolders(root: shelf.root, name: spec.name)
            try folders.prepare(for: spec, credentials: shelf.credentials(of: spec.name))
            let meeting = try InitMeeting(spec: spec, folders: folders, owner: owner)
            defer { meeting.end() }
            _ = try await link.run(within: Self.patience)
            let run = PodRun(id: Self.makeID(), link: link)
            try await link.ask(
                AttendantRequest(
                    number: 0, action: .start, run: run.id,
                    arguments: SandboxInit.arguments(
                        meeting: SandboxLayout.control, bounds: Self.bounds(spec.limits),
                        command: command(of: spec)),
                    environment: SandboxLayout.environment(of: spec)))
            do throws(SandboxError) {
                let met = try await meeting.hold(loaded: loaded) { link.isAlive(run.id) }
                return Standby(run: run, name: spec.name, socket: met.socket, talk: met.talk)
            } catch {
                try? await run.signal(SIGKILL)
                throw explained(error, folders)
            }
        }
    }

    /// What the init said, where that tells more.
    private func explained(_ error: SandboxError, _ folders: SandboxFolders) -> SandboxError {
        guard case .cannotStart(let name, _) = error else { return error }
        let said = String(decoding: ((try? AtomicFile.read(folders.initLog)) ?? nil) ?? [], as: UTF8.self)
        guard let line = said.split(separator: "\n").last else { return error }
        return .cannotStart(name: name, reason: String(line))
    }

    private static func makeID() -> String {
        var generator = SystemRandomNumberGenerator()
        return String(generator.next() as UInt64, radix: 16)
    }

    public func setCredentials(of name: String, _ files: [String: [UInt8]]) async throws(SandboxError) {
        _ = try table.entry(name)
        try shelf.credentials(of: name).replace(with: files)
    }

    private func discardStandby(_ name: String, _ entry: Shelf.Table.Entry) async {
        guard let standby = entry.standby else { return }
        table.change(name) { $0.standby = nil }
        standby.discard()
        try? await standby.run.signal(SIGKILL)
        _ = await standby.run.end()
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
            try await running.signal(SIGTERM)
            if await !TaskEnd.comes(end, within: grace) {
                logger.warn("a sandbox did not stop in time", ["sandbox": name])
                try await running.signal(SIGKILL)
            }
        } else {
            // Killed as it stands: a frozen agent must not run for another moment.
            try await running.signal(SIGKILL)
        }
        _ = await end.value
    }

    public func remove(_ name: String) async throws(SandboxError) {
        let entry = try table.begin(name, needed: "stopped") { $0.running == nil }
        await discardStandby(name, entry)
        try shelf.remove(name, keepsFolders: true)
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

    public func logs(of name: String, lines: Int) throws(SandboxError) -> String { try shelf.logs(of: name, lines: lines) }

    public func readLog(of name: String, _ log: SandboxLog, from start: LogStart) throws(SandboxError) -> LogPart {
        try shelf.readLog(of: name, log, from: start)
    }

    /// They are in the other container.
    public func usage(of name: String) throws(SandboxError) -> SandboxUsage? { nil }

    public func confinement(of name: String) throws(SandboxError) -> SandboxConfinement {
        let entry = try table.entry(name)
        guard entry.running != nil,
            let record = PodRunRecord.read(SandboxFolders(root: shelf.root, name: name).container)
        else { throw .wrongState(name: name, needed: "running") }
        return record.confinement
    }

    /// Memory and processors are the pod's to bound.
    private static func bounds(_ limits: SandboxSpec.Limits) -> [SandboxInit.Bound] {
        [SandboxInit.Bound(resource: .core, value: 0)]
            + (limits.openFiles > 0 ? [SandboxInit.Bound(resource: .openFiles, value: limits.openFiles)] : [])
    }

    private static func confinement(_ limits: SandboxSpec.Limits) -> SandboxConfinement {
        var confinement = SandboxConfinement()
        confinement.groupLimits = ["cpu", "memory"]
        confinement.processLimits = bounds(limits).map(\.resource.rawValue)
        return confinement
    }

    private func watch(_ running: PodRun, _ name: String) { shelf.watch(running, name) { await running.end() } }
}
