import FoundationEssentials
import Glibc
import Handoff
import MeshIdentity
import MeshNode
import Sandboxes
import Storage

/// Carries out one offload for another peer: from its files to what the agent made of them.
///
/// Every step may be repeated: after a crash it goes on from the phase on the disk.
struct OffloadRun: Sendable {
    /// Stores a change of the record and tells who waits for one.
    typealias Change =
        @Sendable (@escaping @Sendable (inout OffloadRecord) throws -> Void) async throws -> OffloadRecord

    let services: OffloadServices
    let record: OffloadRecord
    let manifest: Manifest
    /// The chunks of the task's files.
    let store: ChunkStore
    /// Where the offload keeps what it needs on this peer.
    let folder: String
    /// Hears that chunks came.
    let arrivals: AsyncStream<Void>
    let change: Change

    /// - Throws: ``OperationFailure``, `timed_out` when its time is up; `CancellationError`.
    func carryOut() async throws -> OffloadOutcome {
        let left = record.deadline.timeIntervalSinceNow
        return try await withThrowingTaskGroup(of: OffloadOutcome?.self) { group in
            group.addTask { try await steps() }
            group.addTask {
                try await Task.sleep(for: .seconds(max(0, left)))
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let outcome = first else {
                throw OperationFailure(.timedOut, "it was not done within \(record.preferences.timeout) s")
            }
            return outcome
        }
    }

    private func steps() async throws -> OffloadOutcome {
        var phase = record.phase
        if phase == .validating {
            try await gather()
            phase = try await change { $0.phase = .spawning }.phase
        }
        if phase == .spawning {
            try await spawn()
            phase = try await change { $0.phase = .ready }.phase
        }
        // From here on it may have spent tokens, whatever becomes of this peer.
        if phase == .ready {
            _ = try await change {
                $0.phase = .working
                $0.hasBegun = true
            }
        }
        let answer = try await OffloadAgent(services: services).work(on: record)
        let files = try await collect()
        let (summary, isCut) = Self.cut(answer.reply, to: OffloadLimits.maximumSummaryBytes)
        return OffloadOutcome(
            summary: summary, isCut: isCut, tokens: answer.tokens,
            seconds: max(0, Int(Date().timeIntervalSince(record.createdAt))), files: WireBytes(files.encoded()))
    }

    private func gather() async throws {
        let (store, manifest) = (store, manifest)
        func isComplete() async throws -> Bool { try await DiskWork.run { store.missing(from: manifest).isEmpty } }
        if try await isComplete() { return }
        for await _ in arrivals where try await isComplete() { return }
        throw CancellationError()
    }

    private func spawn() async throws {
        let (sandboxes, name) = (services.sandboxes, record.sandbox)
        if await sandboxes.isKnown(name) {
            guard await services.owns(record) else {
                throw OperationFailure(.conflict, "another sandbox is called \(name)")
            }
            return
        }
        // What a crash left of it holds no work yet: the agent hears the task only after this.
        try await sandboxes.clearUnfinished(name)
        let (store, manifest, limits, driver) = (store, manifest, services.limits, sandboxes.driver)
        let settings = AgentSettings(model: record.preferences.model)
        let fill = { @Sendable (home: String) in
            try await DiskWork.run {
                for child in [SandboxLayout.incomingName, SandboxLayout.outgoingName] {
                    let path = home + "/" + child
                    guard mkdir(path, 0o700) == 0 else {
                        throw OperationFailure(.failed, "\(path): \(String(cString: strerror(errno)).lowercased())")
                    }
                    try driver.own(path)
                }
                try OffloadBundle.restore(manifest, from: store, into: home + "/" + SandboxLayout.incomingName, limits)
            }
        }
        let environment = Self.environment(of: record)
        // Once begun it is finished or undone, also when the time is up meanwhile.
        _ = try await Task {
            try await sandboxes.create(
                CreateSandbox(sandboxName: name, settings: settings), environment: environment, prepare: fill)
        }.value
    }

    /// What the agent knows of its offload (runtime contract v1); the task itself it hears once, with an id.
    static func environment(of record: OffloadRecord) -> [String: String] {
        [
            "OFFLOAD_REQUEST_ID": record.id, "OFFLOAD_PARENT_AMID": record.peer.key.amid,
            "OFFLOAD_TIMEOUT_MINUTES": String(max(1, (record.preferences.timeout + 59) / 60)),
        ]
    }

    /// Copies what the agent left, once nobody else changes its sandbox.
    private func collect() async throws -> Manifest {
        while true {
            do {
                return try await collectOnce()
            } catch let failure as OperationFailure where failure.code == .conflict {
                // An agent that ended by itself is being started again.
                try await Task.sleep(for: Self.pause)
            } catch SandboxError.wrongState {
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    private static let pause = Duration.milliseconds(250)

    /// Nothing in the sandbox runs meanwhile that could change what is copied.
    private func collectOnce() async throws -> Manifest {
        let (limits, target) = (services.limits, folder + "/result")
        return try await services.sandboxes.whileFrozen(record.sandbox) { home in
            try await DiskWork.run {
                do {
                    let source = home + "/" + SandboxLayout.outgoingName
                    let (manifest, state) = try OffloadBundle.scan(source, limits)
                    let kept = try ChunkStore(folder: target, maximumBytes: UInt64(limits.bytes))
                    // Of a collection that a crash cut off.
                    try kept.removeAll()
                    if let state {
                        let reader = try ChunkReader(root: source, state: state)
                        for id in kept.missing(from: manifest) { try kept.put(try reader.readChunk(id), expecting: id) }
                    }
                    try kept.syncAll()
                    return manifest
                } catch let error as WorkspaceError {
                    throw OperationFailure(.failed, "what the agent left cannot be brought back: \(error)")
                }
            }
        }
    }

    /// As much of a text as the bound holds, cut between characters.
    static func cut(_ text: String, to limit: Int) -> (text: String, isCut: Bool) {
        guard text.utf8.count > limit else { return (text, false) }
        var rest = limit
        let start = text.prefix { character in
            rest -= character.utf8.count
            return rest >= 0
        }
        return (String(start), true)
    }
}
