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

    private let services: MoveServices
    private let folder: String
    private let store: ChunkStore
    private let agent: Identity
    private(set) var record: MoveRecord
    private let sandbox: SandboxRecord
    private var pieces: [UInt8] = []
    private var round = 0
    private var manifest: Manifest?
    /// What stands in the tree folder now.
    private var built: (manifest: Manifest, scan: ScanState)?
    private var hasSeeded = false
    private var isOver = false
    /// Steps that run now; while one of them needs the tree or the manifest for itself, it is alone.
    private var underWay = 0
    private var isAlone = false
    private var ended: [CheckedContinuation<Void, Never>] = []
    private var lastStep = ContinuousClock.now

    private var tree: String { folder + "/tree" }

    init(
        _ record: MoveRecord, sandbox: SandboxRecord, agent: Identity, folder: String, services: MoveServices
    ) throws {
        self.record = record
        self.sandbox = sandbox
        self.agent = agent
        self.folder = folder
        self.services = services
        try AtomicFile.makeFolder(folder + "/tree")
        store = try ChunkStore(folder: folder + "/chunks")
    }

    func offerAnswer() -> OfferMove.Answer {
        let timestamp = MeshTimestamp.format(Date())
        let text = SuccessionCertificate.signedText(
            old: record.oldAgent.text, new: agent.did.text, epoch: UInt64(record.epoch), timestamp: timestamp)
        return OfferMove.Answer(
            newKey: agent.publicKey, timestamp: timestamp, proof: WireBytes(agent.sign(Array(text.utf8))))
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
            }
            guard piece.offset == pieces.count, manifest == nil else { throw Self.outOfOrder }
            guard pieces.count + piece.data.bytes.count <= Self.maximumManifestBytes else {
                throw OperationFailure(.refused, "the manifest is larger than \(Self.maximumManifestBytes) bytes")
            }
            pieces += piece.data.bytes
            guard piece.isLast else { return SendManifest.Answer(missingChunks: 0) }
            return SendManifest.Answer(missingChunks: try await readManifest())
        }
    }

    /// - Returns: how many of its chunks are missing.
    private func readManifest() async throws -> Int {
        let encoded = pieces
        pieces = []
        let (store, old, isFirst) = (self.store, oldWorkspace(), !hasSeeded)
        hasSeeded = true
        let (read, missing) = try await DiskWork.run {
            let manifest = try Manifest(encoded: encoded)
            // A dormant copy of this agent supplies what it still has in common; without it all is sent.
            if isFirst, let old { _ = try? store.seed(fromTree: old, for: manifest) }
            return (manifest, store.missing(from: manifest).count)
        }
        manifest = read
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
        try await step(alone: false) {
            let (store, folder) = (self.store, self.folder)
            let bytes = try await DiskWork.run {
                // What was offered and what comes need not be the same: the disk's reserve is kept either way.
                let reserve = WorkspaceLimits().reservedFreeBytes
                let free = try WorkspaceRestorer.freeBytes(at: folder)
                let bytes = chunks.chunks.reduce(0) { $0 + $1.bytes.count }
                guard free >= reserve, UInt64(bytes) <= free - reserve else {
                    throw WorkspaceError.diskFull(path: folder, needed: UInt64(bytes), free: free)
                }
                for chunk in chunks.chunks { try store.put(chunk.bytes) }
                return bytes
            }
            record.progress.movedBytes += bytes
        }
    }

    // MARK: Building

    func build(_ request: BuildTree) async throws -> BuildTree.Answer {
        try await step(alone: true) {
            guard let manifest else { throw Self.outOfOrder }
            guard request.state?.isSane ?? true else {
                throw OperationFailure(.invalid, "the agent's state is beyond its bounds")
            }
            try await buildTree(manifest)
            record.progress.root = manifest.root.hex
            if let state = request.state { try await promise(state) }
            return BuildTree.Answer(root: manifest.root.hex)
        }
    }

    private func buildTree(_ manifest: Manifest) async throws {
        let (store, tree, built) = (self.store, self.tree, self.built)
        // A failure empties the folder.
        self.built = nil
        let scan = try await DiskWork.run {
            let restorer = WorkspaceRestorer()
            if let built {
                try restorer.update(tree, from: built.manifest, to: manifest, from: store)
            } else {
                try restorer.restore(manifest, from: store, into: tree)
            }
            return try restorer.verify(manifest.root, of: tree, previous: built?.scan)
        }
        self.built = (manifest, scan)
    }

    /// From here on the copy is kept until the registry, or the giver, has spoken.
    private func promise(_ state: MovedState) async throws {
        var home = sandbox
        home.createdAt = state.createdAt
        home.formerHomes = state.formerHomes
        var promised = record
        promised.progress.phase = .freezing
        promised.progress.digestBefore = state.digest
        promised.prepared = home
        try await services.journal.keepToken(state.gatewayToken, of: record.id)
        guard !isOver else { throw Self.outOfOrder }
        // Promised only when that is on disk.
        try await services.journal.write(promised)
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
