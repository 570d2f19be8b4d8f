import FoundationEssentials
import Glibc
import MeshIdentity
import MeshNode
import Sandboxes
import Storage

/// Takes one agent in: gathers chunks, builds and proves the tree, and starts the agent once the registry names
/// this peer its home.
///
/// Nothing here trusts the giver's manifest or chunks; ``WorkspaceRestorer`` says how.
actor IncomingMove {
    /// One manifest at most, in bytes; about 200,000 files.
    private static let maximumManifestBytes = 64 << 20
    /// Manifests of one move; a giver sends a handful.
    private static let maximumRounds = 64
    /// How long a giver may be silent before its place is given to another.
    private static let patience = Duration.seconds(600)
    /// How long a giver may be silent before it is asked whether it goes on.
    private static let silence = Duration.seconds(20)

    /// After which a change shows in a file's time, see ``ScannedFile/isSettled``.
    private static let settleTime = Duration.milliseconds(30)

    private let services: MoveServices
    private let folder: String
    private let store: ChunkStore
    private let agent: Identity
    private(set) var record: MoveRecord
    private let sandbox: SandboxRecord
    /// The agent's record of decisions, as far as it is here.
    private var audit = AuditSegment()
    private var pieces: [UInt8] = []
    /// Whether the pieces are a difference to ``base``.
    private var isDifference = false
    private var round = 0
    private var manifest: Manifest?
    /// The last whole manifest, to which a difference is one.
    private var base: Manifest?
    /// What stands in the tree folder now.
    private var built: (manifest: Manifest, scan: ScanState)?
    /// Where the tree is: beside the sandbox, and from the standby on its workspace.
    private var place: String
    /// For what comes without the relay.
    nonisolated let direct: DirectReceiver
    private var hasSeeded = false
    private var isOver = false
    /// Steps that run now; while one of them needs the tree or the manifest for itself, it is alone.
    private var underWay = 0
    private var isAlone = false
    private var ended: [CheckedContinuation<Void, Never>] = []
    private var lastStep = ContinuousClock.now

    init(
        _ record: MoveRecord, sandbox: SandboxRecord, agent: Identity, folder: String, services: MoveServices
    ) throws {
        self.record = record
        self.sandbox = sandbox
        self.agent = agent
        self.folder = folder
        self.services = services
        direct = DirectReceiver(id: record.id)
        place = folder + "/tree"
        try AtomicFile.makeFolder(place)
        try services.sandboxes.driver.own(place)
        store = try ChunkStore(folder: folder + "/chunks")
    }

    /// - Parameter gateway: where the giver may reach this peer.
    func offerAnswer(gateway: String?) -> OfferMove.Answer {
        let timestamp = MeshTimestamp.format(Date())
        let text = SuccessionCertificate.signedText(
            old: record.oldAgent.text, new: agent.did.text, epoch: UInt64(record.epoch), timestamp: timestamp)
        return OfferMove.Answer(
            newKey: agent.publicKey, timestamp: timestamp, proof: WireBytes(agent.sign(Array(text.utf8))),
            direct: gateway.map(direct.way(at:)))
    }

    // MARK: Steps

    /// Runs one step; steps of a move that is over, promised or busy are refused.
    ///
    /// - Parameter alone: nothing else may run meanwhile. A giver waits for an answer before such a step, so
    ///   only one that does not keep the order notices.
    private func step<T>(alone: Bool, _ body: () async throws -> T) async throws -> T {
        guard !isOver, record.prepared == nil, !isAlone, !alone || underWay == 0 else { throw Self.outOfOrder }
        lastStep = .now
        underWay += 1
        isAlone = alone
        defer {
            underWay -= 1
            isAlone = false
            lastStep = .now
            if underWay == 0 {
                for waiting in ended { waiting.resume() }
                ended = []
            }
        }
        return try await body()
    }

    // MARK: Gathering

    func take(_ piece: SendManifest) async throws -> SendManifest.Answer {
        try await step(alone: true) {
            if piece.round != round {
                guard piece.round == round + 1, piece.offset == 0, piece.round <= Self.maximumRounds else {
                    throw Self.outOfOrder
                }
                round = piece.round
                pieces = []
                manifest = nil
                isDifference = piece.isDifference ?? false
            }
            guard piece.offset == pieces.count, manifest == nil else { throw Self.outOfOrder }
            guard pieces.count + piece.data.bytes.count <= Self.maximumManifestBytes else {
                throw OperationFailure(.refused, "the manifest is larger than \(Self.maximumManifestBytes) bytes")
            }
            pieces += piece.data.bytes
            guard piece.isLast else { return SendManifest.Answer(missingChunks: 0) }
            let encoded = pieces
            pieces = []
            return SendManifest.Answer(missingChunks: try await read(encoded, isDifference: isDifference))
        }
    }

    /// Takes a whole manifest, or the difference to the one before.
    ///
    /// - Returns: how many of its chunks are not here.
    private func read(_ encoded: [UInt8], isDifference: Bool) async throws -> Int {
        let (store, old, isFirst, base) = (self.store, oldWorkspace(), !hasSeeded, self.base)
        if isDifference, base == nil { throw Self.outOfOrder }
        hasSeeded = true
        // What stands in the tree came out of the store: only what differs from it can be missing there.
        let isBuilt = base != nil && built?.manifest.root == base?.root
        let (read, missing) = try await DiskWork.run {
            if isDifference, let base {
                let (manifest, changed) = try ManifestDifference.apply(encoded, to: base)
                return (manifest, store.missing(from: isBuilt ? changed : manifest.entries).count)
            }
            let manifest = try Manifest(encoded: encoded)
            // A dormant copy of this agent supplies what it still has in common; without it all is sent.
            if isFirst, let old { _ = try? store.seed(fromTree: old, for: manifest) }
            return (manifest, store.missing(from: manifest).count)
        }
        manifest = read
        self.base = read
        record.progress.workspaceFiles = read.entries.count
        record.progress.workspaceBytes = Int(read.totalBytes)
        return missing
    }

    private func oldWorkspace() -> String? {
        try? services.sandboxes.driver.folders(of: record.progress.sandbox).workspace
    }

    func missing(_ request: ListMissing) async throws -> ListMissing.Answer {
        try await step(alone: true) {
            guard let manifest else { throw Self.outOfOrder }
            let store = self.store
            let ids = try await DiskWork.run { store.missing(from: manifest) }
            return ListMissing.Answer(
                chunks: WireBytes(ids.prefix(max(1, min(request.limit, 8_192))).flatMap(\.bytes)))
        }
    }

    func take(_ chunks: SendChunks) async throws {
        try await step(alone: false) { try await keep(chunks.chunks) }
    }

    /// Kept under the move's name, sealed: a dormant copy's own stay as they are until the agent is here.
    func take(_ credentials: SendCredentials) async throws {
        try await step(alone: true) {
            try SandboxService.check(credentials: credentials.credentials)
            try await services.journal.keepCredentials(credentials.credentials, of: record.id)
        }
    }

    /// Kept under the move's name until the agent is here.
    func take(_ request: SendAudit) async throws -> SendAudit.Answer {
        try await step(alone: true) {
            if let piece = request.piece {
                guard piece.rows.count <= SendAudit.pieceRows, piece.heads.count <= SendAudit.pieceRows,
                    audit.rows.count + piece.rows.count <= AgentAudit.keptRows,
                    audit.heads.count + piece.heads.count <= AgentAudit.keptRows, piece.isBounded
                else { throw OperationFailure(.invalid, "the record of decisions is beyond its bounds") }
                audit.rows += piece.rows
                audit.heads += piece.heads
                if request.isLast {
                    guard audit.isSound(of: record.lineage, epoch: record.epoch, from: record.peer.key) else {
                        throw OperationFailure(.refused, "the agent's record of decisions does not hold")
                    }
                    try await services.journal.keepAudit(audit, of: record.id)
                    audit = AuditSegment()
                }
            }
            return SendAudit.Answer(end: try await services.sandboxes.audit.end(of: record.lineage))
        }
    }

    private func keep(_ chunks: [WireBytes]) async throws {
        let (store, folder) = (self.store, self.folder)
        let bytes = try await DiskWork.run {
            // What was offered and what comes need not be the same: the disk's reserve is kept either way.
            let reserve = WorkspaceLimits().reservedFreeBytes
            let free = try WorkspaceRestorer.freeBytes(at: folder)
            let bytes = chunks.reduce(0) { $0 + $1.bytes.count }
            guard free >= reserve, UInt64(bytes) <= free - reserve else {
                throw WorkspaceError.diskFull(path: folder, needed: UInt64(bytes), free: free)
            }
            for chunk in chunks { try store.put(chunk.bytes) }
            return bytes
        }
        record.progress.movedBytes += bytes
    }

    // MARK: Building

    func build(_ request: BuildTree) async throws -> BuildTree.Answer {
        try await step(alone: true) {
            guard request.state?.isSane ?? true else {
                throw OperationFailure(.invalid, "the agent's state is beyond its bounds")
            }
            var times = StepTimes()
            if let difference = request.difference { try await take(difference) }
            times.done("take")
            guard let manifest else { throw Self.outOfOrder }
            try await buildTree(manifest, isFrozen: request.state != nil, &times)
            record.progress.root = manifest.root.hex
            if let state = request.state { try await promise(state) } else { await standBy() }
            times.done("promise")
            return BuildTree.Answer(root: manifest.root.hex, steps: times.milliseconds)
        }
    }

    private func take(_ difference: BuildTree.Difference) async throws {
        guard difference.round == round + 1, difference.round <= Self.maximumRounds else { throw Self.outOfOrder }
        round = difference.round
        manifest = nil
        pieces = []
        try await keep(difference.chunks)
        guard try await read(difference.changes.bytes, isDifference: true) == 0 else {
            throw OperationFailure(.conflict, "chunks of the last difference are missing")
        }
    }

    /// - Parameter isFrozen: the agent waits for this, and it is the last time.
    private func buildTree(_ manifest: Manifest, isFrozen: Bool, _ times: inout StepTimes) async throws {
        let (store, tree, built) = (self.store, self.place, self.built)
        // A failure empties the folder.
        self.built = nil
        try await DiskWork.run {
            let restorer = WorkspaceRestorer()
            if let built {
                try restorer.updateValidated(tree, from: built.manifest, to: manifest, from: store)
            } else {
                // From here on the tree itself has the chunks.
                try restorer.restore(manifest, from: store, into: tree, emptiesStore: true)
            }
        }
        times.done("build")
        // A file read so soon after its last change would have to be read again the next time.
        if !isFrozen { try await Task.sleep(for: Self.settleTime) }
        let scan = try await DiskWork.run {
            try WorkspaceRestorer().verify(manifest.root, of: tree, previous: built?.scan)
        }
        times.done("verify")
        self.built = (manifest, scan)
        if !isFrozen { try await lend() }
    }

    /// Later rounds take from the tree what they have in common with it.
    private func lend() async throws {
        guard let scan = built?.scan else { return }
        let (store, tree) = (self.store, self.place)
        try await DiskWork.run { store.borrow(from: try ChunkReader(root: tree, state: scan)) }
    }

    /// Puts the tree in the sandbox's place and readies all but the agent, while the agent still serves at the
    /// giver: what is left to do while it is frozen takes little time. Without it the commit does all of this.
    private func standBy() async {
        let (name, driver) = (record.progress.sandbox, services.sandboxes.driver)
        guard place == folder + "/tree", !isOver else { return }
        do {
            if !driver.names().contains(name) { try await driver.create(sandbox.spec) }
            let (tree, retired) = (place, folder + "/retired")
            let (workspace, keepsFolder) = (try driver.folders(of: name).workspace, driver.keepsWorkspaceFolder)
            try await DiskWork.run {
                try MoveFolder.install(tree: tree, as: workspace, retired: retired, keepsFolder: keepsFolder)
            }
            place = workspace
            // What is in it may have been moved one by one.
            if keepsFolder { try await lend() }
            try await driver.prepare(name)
        } catch {
            services.logger.warn("no standby for a move", ["move": record.id, "error": "\(error)"])
        }
    }

    /// From here on the copy is kept until the registry, or the giver, has spoken.
    private func promise(_ state: MovedState) async throws {
        var home = sandbox
        home.createdAt = state.createdAt
        home.formerHomes = state.formerHomes
        var promised = record
        promised.progress.phase = .freezing
        promised.progress.digestBefore = state.digest.isEmpty ? nil : state.digest
        promised.prepared = home
        // Promised only when both are on disk; they share a commit there.
        let (journal, row) = (services.journal, promised)
        async let token: Void = journal.keepToken(state.gatewayToken, of: row.id)
        async let written: Void = journal.write(row)
        _ = try await (token, written)
        guard !isOver else { throw Self.outOfOrder }
        record = promised
    }

    /// Whether the giver has said nothing for a while.
    var isSilent: Bool { underWay == 0 && ContinuousClock.now - lastStep > Self.silence }

    /// Whether nothing was heard for long, and nothing was promised.
    var isIdle: Bool {
        record.prepared == nil && underWay == 0 && ContinuousClock.now - lastStep > Self.patience
    }

    /// Takes no more steps; returns when those under way have ended and the folder is nobody's.
    func finish() async {
        isOver = true
        guard underWay > 0 else { return }
        await withCheckedContinuation { ended.append($0) }
    }

    private static let outOfOrder = OperationFailure(.invalid, "this step of the move came out of order")
}
