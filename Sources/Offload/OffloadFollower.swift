import FoundationEssentials
import Glibc
import Handoff
import MeshNode
import Observability
import Storage

/// Follows one offload at the peer that works on it: sends its files, waits, collects what was made, and lets it be
/// cleaned up there.
///
/// It believes the peer nothing that would cost more than the bounds allow, and each step may be repeated.
struct OffloadFollower: Sendable {
    private static let shortestPause = Duration.milliseconds(500)
    private static let longestPause = Duration.seconds(15)
    /// How long after its time was up a silent peer is still asked, in seconds: it keeps what was made for a while.
    private static let patience = 86_400.0
    /// How often all chunks of the files may be asked for: a peer that says again and again that it has lost them would
    /// be served for ever.
    private static let servings = 4

    let services: OffloadServices
    let key: OffloadRecord.Key

    /// Runs until it is over and the peer knows, or the task is cancelled.
    func run() async {
        var pause = Self.shortestPause
        var sent = 0
        while !Task.isCancelled {
            do {
                guard let record = try await services.ledger.find(key), !(record.phase.isOver && record.isSettled)
                else { return }
                do {
                    if record.phase.isOver { try await tell(record) } else { try await step(record, &sent) }
                    pause = Self.shortestPause
                    continue
                } catch is CancellationError {
                    return
                } catch where !Self.isTransient(error) || Date() > record.deadline.addingTimeInterval(Self.patience) {
                    try await giveUp(record, Self.explained(error))
                    continue
                } catch {
                    services.logger.info("an offload's peer is asked again", ["offload": key.id, "error": "\(error)"])
                }
            } catch {
                services.logger.error("an offload cannot be followed", ["offload": key.id, "error": "\(error)"])
            }
            try? await Task.sleep(for: pause * Double.random(in: 0.8...1.2))
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// Tells the peer once that this side is done with it.
    func settle() async {
        guard let record = try? await services.ledger.find(key), record.phase.isOver, !record.isSettled else { return }
        do { try await tell(record) } catch where Self.isTransient(error) { return } catch { try? await settled() }
    }

    private func tell(_ record: OffloadRecord) async throws {
        do {
            _ = try await services.calls.call(CleanUpOffload(id: key.id), of: key.peer)
        } catch let failure as OperationFailure where failure.code == .notFound {
            // It is forgotten there already.
        }
        try await settled()
    }

    private func settled() async throws {
        _ = try await services.ledger.change(key) { $0.isSettled = true }
    }

    private func giveUp(_ record: OffloadRecord, _ failure: OperationFailure) async throws {
        if record.phase.isOver { return try await settled() }
        _ = try await services.ledger.change(key) { record in
            record.phase = .failed
            record.message = OffloadRun.cut(failure.message, to: OffloadLimits.maximumMessageBytes).text
            // There is nothing to clean up at a peer that took nothing.
            if !record.isAccepted { record.isSettled = true }
        }
        let folder = services.folder(of: key)
        try await DiskWork.run { try TreeRemoval.remove(folder) }
    }

    // MARK: Steps

    /// - Parameter sent: chunks sent since the start of this follower.
    private func step(_ record: OffloadRecord, _ sent: inout Int) async throws {
        guard record.isAccepted else {
            _ = try await Self.note(try await services.calls.call(record.request, of: key.peer), key, services.ledger)
            return
        }
        let answer = try await services.calls.call(
            OffloadStatus(id: key.id, after: record.seenRevision), of: key.peer)
        switch answer.phase {
        case .done: return try await collect(record)
        case .failed: throw OperationFailure(.failed, answer.message ?? "the peer gives no reason")
        case .cleaned: throw OperationFailure(.failed, "the peer ended it: " + (answer.message ?? "it gives no reason"))
        case .validating, .spawning, .ready, .working: break
        }
        _ = try await Self.note(answer, key, services.ledger)
        let missing = try OffloadBundle.ids(answer.missing)
        if !missing.isEmpty {
            try await send(missing, record, &sent)
        } else if answer.revision <= record.seenRevision {
            // The peer waits for a change before it answers; one that does not is asked no more often for that.
            try await Task.sleep(for: Self.shortestPause)
        }
    }

    /// Stores how it stands at the peer.
    static func note(
        _ answer: OffloadStatus.Answer, _ key: OffloadRecord.Key, _ ledger: OffloadLedger
    ) async throws -> OffloadRecord? {
        try await ledger.change(key) { record in
            guard !record.phase.isOver else { return }
            record.isAccepted = true
            record.seenRevision = answer.revision
            record.allowance = min(max(0, answer.allowance), OffloadLimits.tokens.upperBound)
            if !answer.phase.isOver { record.phase = answer.phase }
            record.message = answer.message.map { OffloadRun.cut($0, to: OffloadLimits.maximumMessageBytes).text }
        }
    }

    /// Sends chunks that the peer lacks; asked for others than are in the files, it refuses.
    private func send(_ missing: [ChunkID], _ record: OffloadRecord, _ sent: inout Int) async throws {
        let (source, limits) = (services.folder(of: key) + "/files", services.limits)
        let (reader, count) = try await DiskWork.run {
            do {
                let (manifest, state) = try OffloadBundle.scan(source, limits)
                guard manifest.encoded() == record.files.bytes, let state else {
                    throw OperationFailure(.failed, "the files of the offload are not what they were")
                }
                return (try ChunkReader(root: source, state: state), manifest.chunkIDs.count)
            } catch let error as WorkspaceError {
                throw OperationFailure(.failed, "the files of the offload cannot be read: \(error)")
            }
        }
        sent += missing.count
        guard sent <= Self.servings * count else {
            throw OperationFailure(.failed, "the peer asks again and again for files that it was sent")
        }
        var rest = missing[...]
        while !rest.isEmpty {
            let first = rest
            let batch = try await DiskWork.run {
                var batch: [WireBytes] = []
                var bytes = 0
                for id in first {
                    let chunk: [UInt8]
                    do { chunk = try reader.readChunk(id) } catch {
                        throw OperationFailure(.failed, "the peer asks for what is none of the files: \(error)")
                    }
                    bytes += chunk.count
                    if bytes > OffloadLimits.messageBytes, !batch.isEmpty { break }
                    batch.append(WireBytes(chunk))
                }
                return batch
            }
            _ = try await services.calls.call(SendOffloadFiles(id: key.id, chunks: batch), of: key.peer)
            rest = rest.dropFirst(batch.count)
        }
    }

    /// Brings home what was made; only when all of it is proven and on this disk, the offload is done here.
    private func collect(_ record: OffloadRecord) async throws {
        let outcome = try await services.calls.call(OffloadResult(id: key.id), of: key.peer)
        guard outcome.summary.utf8.count <= OffloadLimits.maximumSummaryBytes, outcome.seconds >= 0 else {
            throw OperationFailure(.failed, "the peer's answer is more than it may be")
        }
        let (folder, limits) = (services.folder(of: key), services.limits)
        let (manifest, store) = try await DiskWork.run {
            do {
                let manifest = try Manifest(encoded: outcome.files.bytes, limits: limits.workspace)
                try AtomicFile.makeFolder(folder)
                return (manifest, try ChunkStore(folder: folder + "/chunks", maximumBytes: UInt64(limits.bytes)))
            } catch let error as WorkspaceError {
                throw OperationFailure(.failed, "what the peer sends back is refused: \(error)")
            }
        }
        while true {
            let missing = try await DiskWork.run {
                Array(store.missing(from: manifest).prefix(OffloadLimits.listedChunks))
            }
            guard !missing.isEmpty else { break }
            let answer = try await services.calls.call(
                FetchOffloadFiles(id: key.id, chunks: OffloadBundle.joined(missing)), of: key.peer)
            guard !answer.chunks.isEmpty, answer.chunks.count <= missing.count else {
                throw OperationFailure(.failed, "the peer does not send what it promised")
            }
            try await DiskWork.run {
                do {
                    for (id, chunk) in zip(missing, answer.chunks) { try store.put(chunk.bytes, expecting: id) }
                } catch { throw OperationFailure(.failed, "what the peer sends back is refused: \(error)") }
            }
        }
        try await DiskWork.run {
            do {
                let output = folder + "/output"
                try TreeRemoval.remove(output)
                try AtomicFile.makeFolder(output)
                try OffloadBundle.restore(manifest, from: store, into: output, limits)
                try TreeRemoval.remove(folder + "/chunks")
                try TreeRemoval.remove(folder + "/files")
            } catch let error as WorkspaceError {
                throw OperationFailure(.failed, "what the peer sends back cannot be kept: \(error)")
            }
        }
        _ = try await services.ledger.change(key) { record in
            guard !record.phase.isOver else { return }
            record.phase = .done
            record.message = nil
            record.outcome = outcome
        }
        services.logger.info("an offload is done", ["offload": key.id, "peer": key.peer.did])
    }

    // MARK: Failures

    /// Whether asking again may help: the peer or the way there is away.
    static func isTransient(_ error: any Error) -> Bool {
        guard let failure = error as? OperationFailure else { return !(error is WorkspaceError) }
        return failure.code == .unavailable || failure.code == .timedOut
    }

    static func explained(_ error: any Error) -> OperationFailure {
        let failure = OperationFailure(wrapping: error, doing: "the offload failed")
        guard failure.isUnknownOperation else { return failure }
        return OperationFailure(
            .refused,
            "that peer takes no offloads: it is a cluster's controller, or of a version that does not know them")
    }
}
