import FoundationEssentials
import Handoff
import MeshIdentity
import MeshNode
import Observability

// What other peers ask; each learns of its own offloads alone.
extension OffloadHost {
    /// How long an answer waits for a change; below the patience of who asks.
    private static let statusPatience = Duration.seconds(20)

    func take(_ request: RequestOffload, from caller: OperationCaller) async throws -> OffloadStatus.Answer {
        let peer = try Self.peer(caller)
        do {
            guard !isStopping else { throw OperationFailure(.unavailable, "the node is stopping") }
            let limits = services.limits
            let manifest = try await DiskWork.run { try request.check(limits) }
            var wanted = OffloadRecord(
                role: .served, peer: peer, id: request.id, peerName: "", pairing: "", task: request.task,
                preferences: request.preferences, files: request.files, digest: request.digest)
            (wanted.fileCount, wanted.fileBytes) = (manifest.entries.count, Int(manifest.totalBytes))
            let (record, isNew) = try await services.ledger.accept(
                wanted, standardAllowance: OffloadLimits.standardAllowance, maximumOpen: limits.open)
            if isNew {
                // Nothing comes between the two, so whoever asks next finds it.
                do { try open(record, manifest) } catch {
                    await conclude(record.key, .failure(error))
                    throw OperationFailure(wrapping: error, doing: "the offload cannot begin")
                }
                try await services.decided(peer, "request", request.id, isAllowed: true)
                services.logger.info("an offload begins", ["offload": request.id, "peer": peer.did])
            }
            return try await answer(record)
        } catch {
            try await services.decided(peer, "request", request.id, isAllowed: false)
            throw error
        }
    }

    func take(_ request: SendOffloadFiles, from caller: OperationCaller) async throws -> Done {
        let record = try await find(request.id, caller)
        guard let run = runs[record.key], record.phase == .validating else { return Done() }
        let (store, wanted, manifest) = (run.store, run.wanted, run.manifest)
        try await DiskWork.run {
            do {
                for chunk in request.chunks {
                    let id = ChunkID(of: chunk.bytes)
                    guard wanted.contains(id) else {
                        throw OperationFailure(.invalid, "a chunk is none of the offload's files")
                    }
                    try store.put(chunk.bytes, expecting: id)
                }
                if store.missing(from: manifest).isEmpty { try store.syncAll() }
            } catch let error as WorkspaceError {
                throw OperationFailure(.noSpace, "the files of the offload cannot be kept: \(error)")
            }
        }
        run.arrivals.yield()
        return Done()
    }

    func status(_ request: OffloadStatus, for caller: OperationCaller) async throws -> OffloadStatus.Answer {
        let record = try await find(request.id, caller)
        let first = try await answer(record)
        guard let after = request.after, record.revision <= after, !record.phase.isOver, first.missing.bytes.isEmpty
        else {
            return first
        }
        await waitForChange(of: record.key, after: after)
        return try await answer(find(request.id, caller))
    }

    private func answer(_ record: OffloadRecord) async throws -> OffloadStatus.Answer {
        var missing = WireBytes([])
        if record.phase == .validating, let run = runs[record.key] {
            let (store, manifest) = (run.store, run.manifest)
            missing = try await DiskWork.run {
                OffloadBundle.joined(store.missing(from: manifest).prefix(OffloadLimits.listedChunks))
            }
        }
        return OffloadStatus.Answer(
            phase: record.phase, message: record.message, allowance: record.allowance, revision: record.revision,
            missing: missing)
    }

    private func waitForChange(of key: Key, after revision: Int) async {
        guard (revisions[key] ?? .max) <= revision, !isStopping else { return }
        waits += 1
        let number = waits
        let timer = Task {
            try? await Task.sleep(for: Self.statusPatience)
            self.stopWaiting(key, number)
        }
        await withCheckedContinuation { continuation in
            waiting.updateValue((number, continuation), forKey: key)?.continuation.resume()
        }
        timer.cancel()
    }

    private func stopWaiting(_ key: Key, _ number: Int) {
        guard waiting[key]?.number == number else { return }
        waiting.removeValue(forKey: key)?.continuation.resume()
    }

    func result(_ id: String, for caller: OperationCaller) async throws -> OffloadOutcome {
        let record = try await find(id, caller)
        guard record.phase == .done, let outcome = record.outcome else {
            throw OperationFailure(.conflict, "the offload is \(record.phase.rawValue)")
        }
        return outcome
    }

    func files(_ request: FetchOffloadFiles, for caller: OperationCaller) async throws -> FetchOffloadFiles.Answer {
        let record = try await find(request.id, caller)
        guard record.phase == .done else {
            throw OperationFailure(.conflict, "the offload is \(record.phase.rawValue)")
        }
        let ids = try OffloadBundle.ids(request.chunks)
        let store =
            try results[record.key]
            ?? ChunkStore(
                folder: services.folder(of: record.key) + "/result", maximumBytes: UInt64(services.limits.bytes))
        results[record.key] = store
        return try await DiskWork.run {
            var chunks: [WireBytes] = []
            var bytes = 0
            for id in ids {
                let chunk: [UInt8]
                do { chunk = try store.read(id) } catch { throw OperationFailure(.notFound, "\(error)") }
                bytes += chunk.count
                if bytes > OffloadLimits.messageBytes, !chunks.isEmpty { break }
                chunks.append(WireBytes(chunk))
            }
            return FetchOffloadFiles.Answer(chunks: chunks)
        }
    }

    func cleanUp(_ id: String, for caller: OperationCaller) async throws -> Done {
        let record = try await find(id, caller)
        let key = record.key
        try await services.decided(key.peer, "cleanup", id, isAllowed: true)
        if let run = runs[key] {
            end(key, run, .cancelled)
            await run.task.value
        }
        // It may have been done just before.
        try await forget(key, "collected")
        return Done()
    }

    /// An offload of the caller; of others it learns nothing.
    private func find(_ id: String, _ caller: OperationCaller) async throws -> OffloadRecord {
        let peer = try Self.peer(caller)
        guard OffloadRecord.isID(id),
            let record = try await services.ledger.find(Key(role: .served, peer: peer, id: id))
        else { throw OperationFailure(.notFound, "the caller has no such offload here") }
        return record
    }

    private static func peer(_ caller: OperationCaller) throws -> PeerIdentity {
        switch caller {
        case .peer(let peer, _), .controller(let peer): return peer
        case .operatorOfThisPeer: throw OperationFailure(.refused, "that is for other peers")
        }
    }
}
