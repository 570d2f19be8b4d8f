import MeshNode

/// Brings the taker's copy of a workspace up to date: round by round while the agent serves, and with one last
/// difference while it is frozen.
///
/// It remembers what the taker has, so that each round sends what changed since the one before, of the list of files as
/// well as of their content.
actor WorkspaceSender {
    /// Rounds of copying while the agent serves; more would chase an agent that writes faster than they send.
    private static let maximumRounds = 6
    /// A round that sent no more than this ends the copying, if it took no longer than ``shortRound``.
    private static let smallRoundBytes = 1 << 20
    private static let shortRound = Duration.seconds(1)
    private static let manifestPieceBytes = 192 << 10
    /// A last difference up to this size goes in one message; two layers of base64 keep it below a frame's bound.
    private static let differenceBytes = 384 << 10
    /// Most of it that its list of files may take.
    private static let listBytes = 192 << 10

    private let id: String
    private let peer: PeerIdentity
    private let calls: MeshCalls
    private let workspace: String
    private var chunks: ChunkSender
    nonisolated let meter = TransferMeter()
    private var round = 0
    private var scan: ScanState?
    /// The manifest that the taker has.
    private var sent: Manifest?
    /// Chunks the taker is known to have.
    private var known: Set<ChunkID> = []

    init(id: String, peer: PeerIdentity, calls: MeshCalls, workspace: String) {
        self.id = id
        self.peer = peer
        self.calls = calls
        self.workspace = workspace
        chunks = ChunkSender(id: id, peer: peer, calls: calls, meter: meter)
    }

    /// Sends chunks without the relay as long as that works.
    func use(_ direct: DirectSender?) { chunks.direct = direct }

    /// Looks at the workspace for the first time.
    ///
    /// - Returns: bytes of all files.
    func measure() async throws -> Int {
        let workspace = self.workspace
        let (manifest, state) = try await DiskWork.run {
            try WorkspaceScanner(root: workspace).scan(mode: .live)
        }
        scan = state
        meter.looked(at: manifest)
        return Int(manifest.totalBytes)
    }

    /// Copies while the agent serves, until little changes meanwhile; then the taker's tree is built and in place.
    ///
    /// - Parameter check: throws when the move is to end.
    func copyWhileServing(check: @escaping @Sendable () async throws -> Void) async throws {
        var before = Int.max
        for _ in 1...Self.maximumRounds {
            try await check()
            let began = ContinuousClock.now
            let bytes = try await sendRound(check)
            try await check()
            _ = try await calls.call(BuildTree(id: id, state: nil, difference: nil), of: peer)
            if bytes <= Self.smallRoundBytes, ContinuousClock.now - began <= Self.shortRound { break }
            // The agent writes about as fast as the rounds send: what is left is for the freeze.
            if bytes > before / 10 * 9 { break }
            before = bytes
        }
        try await check()
    }

    /// Sends what changed since the last look, and proves the copy; the agent is frozen.
    ///
    /// - Parameter stepDone: hears the name of each step that ended.
    /// - Returns: the taker's answer and the root that it must name.
    func sendLast(
        with state: MovedState, check: @escaping @Sendable () async throws -> Void,
        stepDone: @escaping @Sendable (String) async -> Void
    ) async throws -> (answer: BuildTree.Answer, root: String) {
        let (manifest, scan) = try await look(.frozen)
        await stepDone("scan")
        let difference = try await lastDifference(manifest, scan, check)
        await stepDone("difference")
        let answer = try await calls.call(BuildTree(id: id, state: state, difference: difference), of: peer)
        return (answer, manifest.root.hex)
    }

    private func look(_ mode: WorkspaceScanner.Mode) async throws -> (Manifest, ScanState) {
        let (workspace, previous) = (workspace, scan)
        let (manifest, state) = try await DiskWork.run {
            try WorkspaceScanner(root: workspace).scan(previous: previous, mode: mode)
        }
        scan = state
        round += 1
        meter.looked(at: manifest)
        return (manifest, state)
    }

    // MARK: Serving

    /// - Returns: bytes of chunks sent.
    private func sendRound(_ check: @escaping @Sendable () async throws -> Void) async throws -> Int {
        let (manifest, state) = try await look(.live)
        let (bytes, skipped) = try await send(manifest, state, isExact: false, check)
        if !skipped.isEmpty { try await leaveOut(skipped, of: manifest) }
        return bytes
    }

    /// Sends a manifest and the chunks the taker lacks.
    private func send(
        _ manifest: Manifest, _ state: ScanState, isExact: Bool,
        _ check: @escaping @Sendable () async throws -> Void
    ) async throws -> (bytes: Int, skipped: Set<ChunkID>) {
        let missing = try await send(manifest)
        sent = manifest
        known.formUnion(manifest.chunkIDs)
        guard missing > 0 else { return (0, []) }
        let workspace = self.workspace
        let reader = try await DiskWork.run { try ChunkReader(root: workspace, state: state) }
        let (bytes, skipped) = try await chunks.sendMissing(from: reader, isExact: isExact, check: check)
        known.subtract(skipped)
        return (bytes, skipped)
    }

    /// Files that changed while they were sent wait for the next round: the taker builds a tree without them.
    private func leaveOut(_ skipped: Set<ChunkID>, of manifest: Manifest) async throws {
        var gone: Set<PathBytes> = []
        for entry in manifest.entries where entry.chunks.contains(where: skipped.contains) { gone.insert(entry.path) }
        round += 1
        let rest = Manifest(
            entries: manifest.entries.filter { entry in
                !gone.contains(entry.path) && !(entry.kind == .hardlink && entry.target.map(gone.contains) ?? false)
            })
        _ = try await send(rest)
        sent = rest
    }

    /// - Returns: how many of its chunks the taker lacks.
    private func send(_ manifest: Manifest) async throws -> Int {
        let isDifference = sent != nil
        let bytes = sent.map { ManifestDifference.encode(from: $0, to: manifest) } ?? manifest.encoded()
        var offset = 0
        while true {
            let end = min(bytes.count, offset + Self.manifestPieceBytes)
            let isLast = end == bytes.count
            let answer = try await calls.call(
                SendManifest(
                    id: id, round: round, offset: offset, isLast: isLast, isDifference: isDifference,
                    data: WireBytes(Array(bytes[offset..<end]))), of: peer)
            if isLast { return answer.missingChunks }
            offset = end
        }
    }

    // MARK: Frozen

    /// What is left to tell with the last message; what does not fit is sent before.
    private func lastDifference(
        _ manifest: Manifest, _ scan: ScanState, _ check: @escaping @Sendable () async throws -> Void
    ) async throws -> BuildTree.Difference? {
        guard let sent else {
            _ = try await send(manifest, scan, isExact: true, check)
            return nil
        }
        let changes = ManifestDifference.Changes(from: sent, to: manifest)
        let list = ManifestDifference.encode(changes, from: sent, to: manifest)
        guard list.count <= Self.listBytes else {
            _ = try await send(manifest, scan, isExact: true, check)
            return nil
        }
        // No question is needed: what the taker lacks is known here.
        var lacking: Set<ChunkID> = []
        for (entry, _) in changes.changed { lacking.formUnion(entry.chunks) }
        lacking.subtract(known)
        let (workspace, wanted) = (workspace, lacking)
        let (reader, last, before) = try await DiskWork.run {
            let reader = try ChunkReader(root: workspace, state: scan, wanted: wanted)
            var last: [WireBytes] = [], before: [ChunkID] = []
            var room = Self.differenceBytes - list.count
            for id in wanted {
                guard let length = reader.length(of: id), length <= room else {
                    before.append(id)
                    continue
                }
                room -= length
                last.append(WireBytes(try reader.readChunk(id)))
            }
            return (reader, last, before)
        }
        try await chunks.send(before, from: reader, isExact: true)
        meter.sent(last.reduce(0) { $0 + $1.bytes.count })
        self.sent = manifest
        return BuildTree.Difference(round: round, changes: WireBytes(list), chunks: last)
    }
}
