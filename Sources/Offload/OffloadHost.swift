import FoundationEssentials
import Glibc
import Handoff
import MeshIdentity
import MeshNode
import Observability
import Storage

/// Works on the tasks of paired peers, each in a sandbox of its own.
actor OffloadHost {
    typealias Key = OffloadRecord.Key

    struct Run {
        let task: Task<Void, Never>
        let store: ChunkStore
        let manifest: Manifest
        let wanted: Set<ChunkID>
        let arrivals: AsyncStream<Void>.Continuation
    }

    /// Why one ends before the agent is done.
    enum Ending: Sendable {
        /// Who asked for it ends it.
        case cancelled
        case stopped(String)
    }

    private static let longestSweepInterval = 30
    private static let removals = 20
    private static let removalPause = Duration.milliseconds(500)

    let services: OffloadServices
    private(set) var runs: [Key: Run] = [:]
    private var endings: [Key: Ending] = [:]
    var revisions: [Key: Int] = [:]
    /// At most one answer waits for each offload; the next one takes its place.
    var waiting: [Key: (number: Int, continuation: CheckedContinuation<Void, Never>)] = [:]
    var waits = 0
    var results: [Key: ChunkStore] = [:]
    private(set) var isStopping = false
    private var sweeper: Task<Void, Never>?

    init(services: OffloadServices) { self.services = services }

    nonisolated func register(in table: OperationTable) {
        table.register(RequestOffload.self) { try await self.take($0, from: $1) }
        table.register(OffloadStatus.self) { try await self.status($0, for: $1) }
        table.register(SendOffloadFiles.self) { try await self.take($0, from: $1) }
        table.register(OffloadResult.self) { try await self.result($0.id, for: $1) }
        table.register(FetchOffloadFiles.self) { try await self.files($0, for: $1) }
        table.register(CleanUpOffload.self) { try await self.cleanUp($0.id, for: $1) }
    }

    // MARK: Life

    /// Goes on with what an earlier run of this peer left; its sandboxes are taken up already.
    func resume() async throws {
        let root = "\(services.folder)/\(OffloadRecord.Role.served.rawValue)"
        try AtomicFile.makeFolder(root)
        var kept: Set<String> = []
        for record in try await services.ledger.all(.served) {
            if record.holdsSlot { kept.insert(services.folder(of: record.key)) }
            if !record.phase.isOver {
                do {
                    try open(record, try Manifest(encoded: record.files.bytes, limits: services.limits.workspace))
                } catch {
                    await conclude(record.key, .failure(OperationFailure(wrapping: error, doing: "it could not go on")))
                }
            } else if await services.owns(record) {
                await removeSandbox(of: record)
            }
        }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        where !kept.contains("\(root)/\(name)") {
            try? TreeRemoval.remove("\(root)/\(name)")
        }
        let interval = Duration.seconds(max(1, min(Self.longestSweepInterval, services.limits.keptFor)))
        sweeper = Task { [weak self] in
            while !Task.isCancelled {
                await self?.sweep()
                try? await Task.sleep(for: interval)
            }
        }
    }

    /// Lets go; sandboxes run on, and the next start takes the offloads up.
    func stop() async {
        isStopping = true
        sweeper?.cancel()
        for (_, wait) in waiting { wait.continuation.resume() }
        waiting = [:]
        for run in runs.values {
            run.arrivals.finish()
            run.task.cancel()
        }
        for run in runs.values { await run.task.value }
    }

    /// Ends what runs for a peer, or only tells it what its pairing has come to.
    func pairingEnded(with peer: PeerIdentity, _ message: String, stops: Bool) async {
        let concerned = runs.filter { $0.key.peer == peer }
        for (key, run) in concerned {
            if stops {
                end(key, run, .stopped(message))
            } else {
                _ = try? await change(key) { $0.message = message + "; this one goes on" }
            }
        }
        if stops { for run in concerned.values { await run.task.value } }
    }

    func end(_ key: Key, _ run: Run, _ ending: Ending) {
        if endings[key] == nil { endings[key] = ending }
        run.arrivals.finish()
        run.task.cancel()
    }

    func open(_ record: OffloadRecord, _ manifest: Manifest) throws {
        let key = record.key
        let folder = services.folder(of: key)
        try AtomicFile.makeFolder(folder)
        let store = try ChunkStore(folder: folder + "/chunks", maximumBytes: UInt64(services.limits.bytes))
        let (stream, arrivals) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let run = OffloadRun(
            services: services, record: record, manifest: manifest, store: store, folder: folder, arrivals: stream,
            change: { [weak self] body in
                guard let self, let record = try await self.change(key, body) else { throw CancellationError() }
                return record
            })
        revisions[key] = record.revision
        runs[key] = Run(
            task: Task { [weak self] in
                let outcome: Result<OffloadOutcome, any Error>
                do { outcome = .success(try await run.carryOut()) } catch { outcome = .failure(error) }
                // What is left to do is done though the run was cancelled.
                await Task { await self?.conclude(key, outcome) }.value
            }, store: store, manifest: manifest, wanted: manifest.chunkIDs, arrivals: arrivals)
    }

    private func change(
        _ key: Key, _ body: @escaping @Sendable (inout OffloadRecord) throws -> Void
    ) async throws -> OffloadRecord? {
        let record = try await services.ledger.change(key) { record in
            // What has ended stays as it ended.
            guard !record.phase.isOver else { return }
            try body(&record)
        }
        if let record { revisions[key] = max(revisions[key] ?? 0, record.revision) }
        waiting.removeValue(forKey: key)?.continuation.resume()
        return record
    }

    func conclude(_ key: Key, _ outcome: Result<OffloadOutcome, any Error>) async {
        // A node that stops ends nothing.
        if isStopping, endings[key] == nil { return }
        let ending = endings[key]
        guard let before = try? await services.ledger.find(key) else {
            runs[key] = nil
            return
        }
        var message: String?
        var phase = OffloadPhase.failed
        var made: OffloadOutcome?
        switch (ending, outcome) {
        case (.cancelled?, _): (phase, message) = (.cleaned, "ended by who asked for it")
        case (.stopped(let reason)?, _): message = reason
        case (nil, .success(let result)): (phase, made) = (.done, result)
        case (nil, .failure(let error)):
            message =
                OffloadRun.cut(
                    "\((error as? OperationFailure)?.message ?? "\(error)")", to: OffloadLimits.maximumMessageBytes
                ).text
        }
        // A slot is free only when nothing runs in it any more; what was made is on the disk before its sandbox goes.
        if phase != .done { await removeSandbox(of: before) }
        do {
            _ = try await change(key) { [phase, message, made] record in
                record.phase = phase
                record.message = message
                record.outcome = made
            }
        } catch {
            services.logger.error("the end of an offload cannot be stored", ["offload": key.id, "error": "\(error)"])
        }
        if phase == .done { await removeSandbox(of: before) }
        let useless = services.folder(of: key) + (phase == .done ? "/chunks" : "")
        try? await DiskWork.run { try TreeRemoval.remove(useless) }
        (runs[key], endings[key], revisions[key]) = (nil, nil, nil)
        try? await services.decided(key.peer, "end-\(phase.rawValue)", key.id, isAllowed: true)
        services.logger.info(
            "an offload ended", ["offload": key.id, "peer": key.peer.did, "phase": phase.rawValue])
    }

    private func removeSandbox(of record: OffloadRecord) async {
        for _ in 0..<Self.removals {
            guard await services.owns(record) else {
                return (try? await services.sandboxes.clearUnfinished(record.sandbox)) ?? ()
            }
            do {
                return try await services.sandboxes.destroy(DestroySandbox(sandboxName: record.sandbox))
            } catch {
                services.logger.warn(
                    "an offload's sandbox is not removed yet", ["offload": record.id, "error": "\(error)"])
                try? await Task.sleep(for: Self.removalPause)
            }
        }
    }

    /// Forgets what nobody collected in time.
    private func sweep() async {
        let limit = Date().addingTimeInterval(-TimeInterval(services.limits.keptFor))
        for record in (try? await services.ledger.all(.served)) ?? []
        where record.phase == .done && record.updatedAt < limit {
            _ = try? await forget(record.key, "nobody collected it within \(services.limits.keptFor) s")
        }
    }

    /// Frees the slot of one that is done.
    func forget(_ key: Key, _ message: String) async throws {
        _ = try await services.ledger.change(key) { record in
            guard record.phase == .done else { return }
            record.phase = .cleaned
            record.message = message
        }
        results[key] = nil
        let folder = services.folder(of: key)
        try await DiskWork.run { try TreeRemoval.remove(folder) }
    }
}
