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

    /// How long a giver may be silent before its place is given to another.
    private static let patience = Duration.seconds(600)

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
    /// Where the tree is: beside the sandbox, and from the standby on its workspace.
    private var place: String
    private var hasSeeded = false
    private var isOver = false
    private var lastStep = ContinuousClock.now

    init(
        _ record: MoveRecord, sandbox: SandboxRecord, agent: Identity, folder: String, services: MoveServices
    ) throws {
        self.record = record
        self.sandbox = sandbox
        self.agent = agent
        self.folder = folder
        self.services = services
        place = folder + "/tree"
        try AtomicFile.makeFolder(place)
        store = try ChunkStore(folder: folder + "/chunks")
    }

    func offerAnswer() -> OfferMove.Answer {
        let timestamp = MeshTimestamp.format(Date())
        let text = SuccessionCertificate.signedText(
            old: record.oldAgent.text, new: agent.did.text, epoch: UInt64(record.epoch), timestamp: timestamp)
        return OfferMove.Answer(
            newKey: agent.publicKey, timestamp: timestamp, proof: WireBytes(agent.sign(Array(text.utf8))))
    }

    // MARK: Gathering

    func take(_ piece: SendManifest) async throws -> SendManifest.Answer {
        try checkOpen()
        if piece.round != round {
            guard piece.round == round + 1, piece.offset == 0 else { throw Self.outOfOrder }
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
        let encoded = pieces
        pieces = []
        return SendManifest.Answer(missingChunks: try await read(encoded))
    }

    /// Takes a whole manifest.
    ///
    /// - Returns: how many of its chunks are not here.
    private func read(_ encoded: [UInt8]) async throws -> Int {
        let (store, old, isFirst) = (self.store, oldWorkspace(), !hasSeeded)
        hasSeeded = true
        let (read, missing) = try await DiskWork.run {
            let manifest = try Manifest(encoded: encoded)
            // A dormant copy of this agent supplies what it still has in common.
            if isFirst, let old { try store.seed(fromTree: old, for: manifest) }
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
        try checkOpen()
        guard let manifest else { throw Self.outOfOrder }
        let store = self.store
        let ids = try await DiskWork.run { store.missing(from: manifest) }
        return ListMissing.Answer(
            chunks: WireBytes(ids.prefix(max(1, min(request.limit, 8_192))).flatMap(\.bytes)))
    }

    func take(_ chunks: SendChunks) async throws {
        try checkOpen()
        try await keep(chunks.chunks)
    }

    private func keep(_ chunks: [WireBytes]) async throws {
        let store = self.store
        let bytes = try await DiskWork.run {
            var bytes = 0
            for chunk in chunks {
                try store.put(chunk.bytes)
                bytes += chunk.bytes.count
            }
            return bytes
        }
        record.progress.movedBytes += bytes
    }

    // MARK: Building

    func build(_ request: BuildTree) async throws -> BuildTree.Answer {
        try checkOpen()
        if let difference = request.difference {
            guard difference.round == round + 1 else { throw Self.outOfOrder }
            round = difference.round
            try await keep(difference.chunks)
            guard try await read(difference.manifest.bytes) == 0 else {
                throw OperationFailure(.conflict, "chunks of the last difference are missing")
            }
        }
        guard let manifest else { throw Self.outOfOrder }
        let (store, tree, built) = (self.store, self.place, self.built)
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
        record.progress.root = manifest.root.hex
        if let state = request.state {
            record.progress.phase = .freezing
            record.progress.digestBefore = state.digest
            var home = sandbox
            home.createdAt = state.createdAt
            home.formerHomes = state.formerHomes
            record.prepared = MoveRecord.Prepared(state: state, record: home)
            try await services.sandboxes.keepSecrets(
                of: record.progress.sandbox, seed: agent.withSeed { [UInt8]($0) }, token: state.gatewayToken)
            try await services.journal.write(record)
        } else {
            await standBy()
        }
        return BuildTree.Answer(root: manifest.root.hex)
    }

    /// Puts the tree in the sandbox's place and readies all but the agent, while the agent still serves at the
    /// giver: what is left to do while it is frozen takes little time. Without it the commit does all of this.
    private func standBy() async {
        let (name, driver) = (record.progress.sandbox, services.sandboxes.driver)
        guard place == folder + "/tree" else { return }
        do {
            if !driver.names().contains(name) { try await driver.create(sandbox.spec) }
            let (tree, retired) = (place, folder + "/retired")
            let workspace = try driver.folders(of: name).workspace
            try await DiskWork.run { try MoveFolder.install(tree: tree, as: workspace, retired: retired) }
            place = workspace
            try await driver.prepare(name)
        } catch {
            services.logger.warn("no standby for a move", ["move": record.id, "error": "\(error)"])
        }
    }

    /// Whether nothing was heard for long, and nothing was promised.
    var isIdle: Bool { record.prepared == nil && ContinuousClock.now - lastStep > Self.patience }

    /// Takes no more steps.
    func finish() { isOver = true }

    /// Takes no more steps, and withdraws the key that was made for nothing.
    func withdraw() async {
        isOver = true
        try? await services.registry.unregister(agent)
    }

    private func checkOpen() throws {
        guard !isOver, record.prepared == nil else { throw Self.outOfOrder }
        lastStep = .now
    }

    private static let outOfOrder = OperationFailure(.invalid, "this step of the move came out of order")
}
