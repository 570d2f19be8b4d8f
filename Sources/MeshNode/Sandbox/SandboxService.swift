import FoundationEssentials
import Glibc
import MeshIdentity
import Observability
import Sandboxes
import Storage
import Synchronization

/// The agents of this peer: makes them, keeps them running where they are at home, and lets them go.
public actor SandboxService {
    /// Copies a folder of this machine into a new workspace.
    public typealias WorkspaceFiller = @Sendable (_ from: String, _ to: String) async throws -> Void
    /// Puts files into a new workspace before its agent starts; gets the folder that the agent knows as
    /// ``SandboxLayout/home``.
    public typealias WorkspacePreparation = @Sendable (_ folder: String) async throws -> Void

    static let readyTime = Duration.seconds(30)
    static let stopGrace = Duration.seconds(10)

    public nonisolated let driver: any SandboxDriver
    public nonisolated let identity: Identity
    public nonisolated let peerName: String
    nonisolated let store: NodeStore
    /// Decisions about the agents, each agent's in a chain of its own.
    public nonisolated let audit: AgentAudit
    nonisolated let registry: RegistryClient
    nonisolated let door: any AgentDoor
    nonisolated let folder: String
    nonisolated let logger: Logger
    nonisolated let fill: WorkspaceFiller
    nonisolated let images: ImageFetches
    private let running: Gauge
    private(set) var records: [String: SandboxRecord] = [:]
    private var busy: Set<String> = []
    /// Of agents that were started here.
    var runs: [String: AgentRuns] = [:]
    var isKeeping = true
    /// Where clients reach the agents; empty before that is known.
    public private(set) var gatewayURL = ""

    public init(
        driver: any SandboxDriver, identity: Identity, peerName: String, store: NodeStore,
        registry: RegistryClient, door: any AgentDoor, folder: String, logger: Logger, metrics: Metrics,
        fill: @escaping WorkspaceFiller
    ) {
        self.driver = driver
        self.identity = identity
        self.peerName = peerName
        self.store = store
        audit = AgentAudit(store: store)
        self.registry = registry
        self.door = door
        self.folder = folder
        self.logger = logger
        self.fill = fill
        images = ImageFetches(driver: driver)
        running = metrics.gauge("kars_sandboxes_at_home", "Agents whose home is this peer.")
    }

    /// The address clients use, once it is known.
    public func setGateway(_ url: String) { gatewayURL = url }

    // MARK: Start

    /// Takes up the agents of an earlier run: those still running go on, those at home are started.
    ///
    /// An agent whose move was under way is left to the move's own recovery.
    public func recover(except moving: Set<String>) async throws {
        try AtomicFile.makeFolder(folder + "/tokens")
        try await driver.recover()
        let stored = try await store.database.read {
            try $0.query("SELECT record FROM sandbox") { $0.blob(0) }
        }
        for bytes in stored {
            guard let record = PeerJSON.decode(SandboxRecord.self, from: bytes) else {
                logger.error("an unreadable sandbox record was left out")
                continue
            }
            records[record.name] = record
        }
        updateGauge()
        for record in records.values where !moving.contains(record.name) {
            do {
                try await takeUp(record)
            } catch {
                logger.error("an agent could not be taken up", ["sandbox": record.name, "error": "\(error)"])
                let reason = "it could not be taken up at the node's start: \(error)"
                note(SandboxTransition(state: "stopped", reason: reason), of: record.name)
                // One whose removal was cut off may have no token any more.
                guard let token = try? await token(of: record.name) else { continue }
                door.open(record.name, token: token, route: .stopped)
                // Its container may come late, of a pod whose node was there first.
                if record.home.key == identity.publicKey { startLater(record.name, hasTried: true) }
            }
        }
    }

    private func takeUp(_ record: SandboxRecord) async throws {
        let token = try await token(of: record.name)
        guard record.home.key == identity.publicKey else {
            if try driver.state(of: record.name).isAlive {
                try await driver.stop(record.name, grace: .zero)
            }
            return door.open(record.name, token: token, route: .forward(record.home))
        }
        let wasAlive = try driver.state(of: record.name).isAlive
        try await run(record.name)
        if !wasAlive {
            note(SandboxTransition(state: "running", reason: "it was started at the node's start"), of: record.name)
        }
        door.open(record.name, token: token, route: .local(socket: try driver.gatewaySocket(of: record.name)))
    }

    /// Brings a sandbox to the point where its agent answers.
    public func run(_ name: String) async throws {
        switch try driver.state(of: name) {
        case .frozen: try await driver.thaw(name)
        case .running: break
        case .created, .stopped:
            try await giveCredentials(to: name)
            try await driver.start(name)
        }
        // From here on, so that one that ends before it answers is started again too.
        keep(name)
        try await driver.waitUntilReady(name, within: Self.readyTime)
    }

    // MARK: Operations

    /// - Parameters:
    ///   - environment: further variables of the agent.
    ///   - prepare: runs before the agent starts.
    public func create(
        _ request: CreateSandbox, environment: [String: String] = [:], prepare: WorkspacePreparation? = nil
    ) async throws -> SandboxSummary {
        let name = request.sandboxName
        if let image = request.image, !driver.takesImages {
            throw OperationFailure(
                .refused,
                "the runtime \(request.runtime ?? "byo") needs the container image \(image), and this peer runs "
                    + "\(driver.kind) sandboxes, which take none",
                hint: "'--runtime byo' without an image runs the reference agent")
        }
        var spec = SandboxSpec(name: name, image: request.image, settings: request.settings)
        if request.image != nil { spec.command = [] }
        spec.environment = (request.settings?.variables ?? [:]).merging(environment) { $1 }
        if let runtime = request.runtime { spec.runtimeKind = runtime }
        do { try spec.validate() } catch { throw OperationFailure(.invalid, "\(error)") }
        guard records[name] == nil else {
            throw OperationFailure(
                .conflict, "a sandbox called \"\(name)\" exists",
                hint: "'kars status \(name)' shows it; 'kars destroy \(name)' removes it")
        }
        return try await exclusively(name) {
            let agent = Identity.generate()
            do {
                try await keepCredentials(of: name, request.credentials ?? [:])
                return try await make(spec, agent: agent, from: request.workspace, prepare)
            } catch {
                await undoCreate(name, agent)
                throw OperationFailure(wrapping: error, doing: "cannot create the sandbox \(name)")
            }
        }
    }

    private func make(
        _ spec: SandboxSpec, agent: Identity, from workspace: String?, _ prepare: WorkspacePreparation?
    ) async throws -> SandboxSummary {
        let name = spec.name
        try await driver.create(spec)
        if let workspace { try await fill(workspace, try driver.folders(of: name).workspace + "/workspace") }
        try await prepare?(try driver.folders(of: name).workspace)
        let me = PeerIdentity(key: identity.publicKey)
        let record = SandboxRecord(
            spec: spec, lineage: agent.did, agent: agent.did, epoch: 1, home: me, homeName: peerName,
            formerHomes: [], createdAt: Date())
        let token = Hex.encode(RandomBytes.make(16))
        // Beside each other: what they write shares a commit.
        async let noted: Void = audit.append(
            agent.did, agent: "operator", action: "sandbox:create", decision: "success")
        async let kept: Void = keepSecrets(of: name, seed: agent.seed, token: token)
        _ = try await (noted, kept)
        try await registry.register(agent, capabilities: ["kars-agent"], metadata: ["display_name": name])
        try await registry.setHome(
            of: agent.did, .make(agent: agent.did, epoch: 1, home: me.did, signer: agent, now: Date()))
        try await run(name)
        try await save(record)
        door.open(name, token: token, route: .local(socket: try driver.gatewaySocket(of: name)))
        logger.info("sandbox created", ["sandbox": name, "agent": agent.did])
        return summary(of: record)
    }

    public func start(_ name: String) async throws -> SandboxSummary {
        let record = try record(name)
        guard record.home.key == identity.publicKey else {
            throw OperationFailure(
                .refused, "\(name) lives at \(record.homeName)", hint: "bring it home with 'kars handoff \(name) --to local'")
        }
        return try await exclusively(name) {
            // A frozen agent is being moved or waits for its operator.
            if case .frozen = try driver.state(of: name) {
                throw OperationFailure(.conflict, "\(name) is frozen", hint: "'kars handoff \(name) --status' shows its move")
            }
            let wasAlive = try driver.state(of: name).isAlive
            do { try await run(name) } catch {
                note(SandboxTransition(state: "stopped", reason: "it could not be started: \(error)"), of: name)
                throw OperationFailure(wrapping: error, doing: "cannot start the sandbox \(name)")
            }
            if !wasAlive { note(SandboxTransition(state: "running", reason: "it was started by its operator"), of: name) }
            door.open(name, token: try await token(of: name), route: .local(socket: try driver.gatewaySocket(of: name)))
            return summary(of: record)
        }
    }

    func undoCreate(_ name: String, _ agent: Identity?) async {
        try? await driver.stop(name, grace: .zero)
        try? await driver.remove(name)
        try? await forgetSecrets(of: name)
        if let agent { try? await registry.unregister(agent) }
    }

    /// - Parameter caller: who wants it, for the agent's record of decisions.
    public func destroy(_ request: DestroySandbox, by caller: String = "operator") async throws {
        let name = request.sandboxName
        let record = try record(name)
        let isHome = record.home.key == identity.publicKey
        guard isHome != request.dormantCopy else {
            throw OperationFailure(
                .refused,
                isHome
                    ? "\(name) lives here; there is no dormant copy to remove"
                    : "\(name) lives at \(record.homeName); only its dormant copy is here",
                hint: isHome
                    ? "'kars destroy \(name)' removes the agent itself"
                    : "bring it home with 'kars handoff \(name) --to local', or remove the copy with "
                        + "'kars destroy \(name) --local'")
        }
        try await exclusively(name) {
            if isHome {
                try await audit.append(record.lineage, agent: caller, action: "sandbox:destroy", decision: "success")
            }
            door.remove(name)
            do {
                try await driver.stop(name, grace: Self.stopGrace)
                try await driver.remove(name)
            } catch SandboxError.unknown {
                // A crash cut off an earlier removal here.
            }
            if isHome, let seed = try await store.secret(Self.seedName(name)) {
                let agent = try Identity(seed: seed)
                do { try await registry.unregister(agent) } catch {
                    logger.warn("the registry still lists a destroyed agent", ["agent": record.agent])
                }
            }
            // All of it or nothing: an agent without its token cannot be taken up.
            try await forgetSecrets(of: name) {
                try $0.execute("DELETE FROM sandbox WHERE name = ?", .text(name))
                try Self.forgetTransitions(of: name, on: $0)
            }
            records[name] = nil
            runs[name] = nil
            updateGauge()
        }
    }

    public func list() -> [SandboxSummary] {
        records.values.sorted { $0.name < $1.name }.map { summary(of: $0) }
    }

    /// What is known of a sandbox without a look inside.
    public func summary(of name: String) throws -> SandboxSummary { summary(of: try record(name)) }

    public func status(_ name: String) async throws -> SandboxSummary {
        let record = try record(name)
        var summary = summary(of: record)
        summary.credentials = try await credentials(of: name).keys.sorted()
        summary.conditions = await conditions(of: record, summary)
        if record.home.key == identity.publicKey { summary.usage = try? driver.usage(of: name) }
        summary.transitions = try await transitions(of: name)
        return summary
    }

    /// Where a running sandbox of this peer takes commands.
    public func shell(_ name: String) throws -> SandboxShell.Answer {
        let record = try record(name)
        guard record.home.key == identity.publicKey else {
            throw OperationFailure(
                .refused, "\(name) lives at \(record.homeName), and a shell is had where an agent lives",
                hint: "run 'kars connect \(name) --shell' there, or bring it home with 'kars handoff \(name) --to local'")
        }
        guard case .running = try driver.state(of: name) else {
            throw OperationFailure(.conflict, "\(name) does not run", hint: "'kars status \(name)' says what it does")
        }
        return SandboxShell.Answer(socket: try driver.folders(of: name).commands)
    }

    public var count: Int { records.count }

    // MARK: Moves

    public func record(_ name: String) throws -> SandboxRecord {
        guard let record = records[name] else {
            throw OperationFailure(
                .notFound, "no sandbox is called \"\(name)\"", hint: "'kars list' shows the sandboxes of this peer")
        }
        return record
    }

    public func record(ofLineage lineage: DID) -> SandboxRecord? {
        records.values.first { $0.lineage == lineage }
    }

    public func isKnown(_ name: String) -> Bool { records[name] != nil }

    /// Stores a record durably, new or changed.
    public func save(_ record: SandboxRecord) async throws {
        let bytes = PeerJSON.encode(record)
        let name = record.name
        // In the same commit: a move waits for it.
        let transition = transition(from: records[name], to: record)
        try await store.database.write {
            try $0.execute("INSERT OR REPLACE INTO sandbox (name, record) VALUES (?, ?)", .text(name), .blob(bytes))
            if let transition { try Self.insert(transition, of: name, on: $0) }
        }
        records[name] = record
        updateGauge()
    }

    /// The agent's private key, which never leaves this peer.
    public func agentIdentity(_ name: String) async throws -> Identity {
        guard let seed = try await store.secret(Self.seedName(name)) else {
            throw OperationFailure(.failed, "the key of \(name) is not here")
        }
        return try Identity(seed: seed)
    }

    public func token(of name: String) async throws -> String {
        guard let bytes = try await store.secret(Self.tokenName(name)) else {
            throw OperationFailure(.failed, "the gateway token of \(name) is not here")
        }
        return bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// Stores an agent's key and gateway token, and writes the token's file for clients.
    public func keepSecrets(of name: String, seed: SecretBytes, token: String) async throws {
        // They share a commit.
        async let key: Void = store.putSecret(seed, name: Self.seedName(name))
        async let word: Void = store.putSecret(SecretBytes(copying: Array(token.utf8)), name: Self.tokenName(name))
        _ = try await (key, word)
        try AtomicFile.write(Array((token + "\n").utf8), to: tokenFile(name))
    }

    /// Removes the private key of an agent that lives elsewhere, where its successor was made.
    public func forgetKey(of name: String) async throws { try await store.removeSecret(Self.seedName(name)) }

    /// - Parameter beside: is stored in the same change.
    private func forgetSecrets(
        of name: String, beside: @escaping @Sendable (Connection) throws -> Void = { _ in }
    ) async throws {
        let names = [Self.seedName(name), Self.tokenName(name), Self.credentialsName(name)]
        try await store.database.write { connection in
            for name in names { try connection.execute("DELETE FROM secret WHERE name = ?", .text(name)) }
            try beside(connection)
        }
        unlink(tokenFile(name))
    }

    private nonisolated func tokenFile(_ name: String) -> String { "\(folder)/tokens/\(name)" }
    static func seedName(_ name: String) -> String { "agent-key:\(name)" }
    private static func tokenName(_ name: String) -> String { "gateway-token:\(name)" }

    /// Keeps two changes of one sandbox apart; every call is followed by ``endChange(of:)``.
    public func beginChange(of name: String) throws {
        guard busy.insert(name).inserted else {
            throw OperationFailure(.conflict, "\(name) is being changed by another operation")
        }
    }

    public func endChange(of name: String) { busy.remove(name) }

    func isBusy(_ name: String) -> Bool { busy.contains(name) }

    func exclusively<T>(_ name: String, _ body: () async throws -> T) async throws -> T {
        try beginChange(of: name)
        defer { endChange(of: name) }
        return try await body()
    }

    private func updateGauge() {
        running.set(records.values.count { $0.home.key == identity.publicKey })
    }

    func summary(of record: SandboxRecord) -> SandboxSummary {
        let isHome = record.home.key == identity.publicKey
        var status = "offloaded"
        if isHome {
            switch try? driver.state(of: record.name) {
            case .running: status = "running"
            case .frozen: status = "frozen"
            default: status = "stopped"
            }
        }
        let confinement = (try? driver.confinement(of: record.name)) ?? SandboxConfinement()
        return SandboxSummary(
            name: record.name, runtime: record.spec.runtimeKind, status: status, driver: driver.kind,
            did: record.agent.text, home: isHome ? peerName : record.homeName, homeDID: record.home.did.text,
            epoch: record.epoch, createdAt: record.createdAt,
            gatewayURL: gatewayURL.isEmpty ? nil : "\(gatewayURL)/agents/\(record.name)",
            tokenFile: tokenFile(record.name), limits: confinement.groupLimits + confinement.processLimits,
            settings: record.spec.settings)
    }
}
