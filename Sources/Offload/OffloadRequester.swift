import FoundationEssentials
import Handoff
import MeshIdentity
import MeshNode
import Observability
import Storage

/// What this peer has others do: it keeps each offload's record and files, and follows it to its end.
actor OffloadRequester {
    /// Offloads that have ended and are kept with what they made; older ones go.
    private static let keptOffloads = 100
    /// Least of an id that names an offload.
    private static let shortestID = 4

    private let services: OffloadServices
    private var followers: [OffloadRecord.Key: Task<Void, Never>] = [:]
    private var isStopping = false

    init(services: OffloadServices) { self.services = services }

    nonisolated func register(in table: OperationTable) {
        table.register(StartOffload.self) { request, _ in try await self.start(request) }
        table.register(ListOffloads.self) { request, _ in try await self.list(request.role) }
        table.register(ShowOffload.self) { request, _ in try await self.show(request) }
        table.register(CancelOffload.self) { request, _ in try await self.cancel(request.id) }
    }

    // MARK: Life

    func resume() async throws {
        for record in try await services.ledger.all(.asked) where !(record.phase.isOver && record.isSettled) {
            follow(record.key)
        }
    }

    func stop() async {
        isStopping = true
        for task in followers.values { task.cancel() }
        for task in followers.values { await task.value }
    }

    private func follow(_ key: OffloadRecord.Key) {
        guard !isStopping, followers[key] == nil else { return }
        let follower = OffloadFollower(services: services, key: key)
        followers[key] = Task { [weak self] in
            await follower.run()
            await self?.ended(key)
        }
    }

    private func ended(_ key: OffloadRecord.Key) { followers[key] = nil }

    // MARK: Operations

    private func start(_ request: StartOffload) async throws -> OffloadProgress {
        let pairing = try await target(request.target)
        guard let peerKey = pairing.peerKey else {
            throw OperationFailure(.refused, "the pairing \"\(pairing.name)\" is not complete")
        }
        try await prune()
        let key = OffloadRecord.Key(role: .asked, peer: PeerIdentity(key: peerKey), id: FrameID.make())
        let folder = services.folder(of: key)
        do {
            let record = try await prepare(request, pairing, key, in: folder)
            // On disk before the peer hears of it: a crash leaves none that nobody follows.
            try await services.ledger.add(record)
            do {
                let answer = try await services.calls.call(record.request, of: key.peer)
                _ = try await OffloadFollower.note(answer, key, services.ledger)
            } catch where OffloadFollower.isTransient(error) {
                // Taken or not, it is asked again.
                _ = try await services.ledger.change(key) {
                    $0.message = "\(pairing.peerName ?? pairing.name) does not answer yet"
                }
            } catch {
                try await services.ledger.remove(key)
                throw OffloadFollower.explained(error)
            }
        } catch {
            try? await DiskWork.run { try TreeRemoval.remove(folder) }
            throw error
        }
        follow(key)
        guard let record = try await services.ledger.find(key) else { throw Self.unknown(key.id) }
        services.logger.info("asked for an offload", ["offload": key.id, "peer": key.peer.did])
        return OffloadProgress(record)
    }

    private func prepare(
        _ request: StartOffload, _ pairing: Pairing, _ key: OffloadRecord.Key, in folder: String
    ) async throws -> OffloadRecord {
        let (limits, files) = (services.limits, folder + "/files")
        // What is wrong with the words shows before any file is copied.
        _ = try RequestOffload(
            id: key.id, task: request.task, preferences: request.preferences,
            files: WireBytes(Manifest(entries: []).encoded())
        ).check(limits)
        try AtomicFile.makeFolder(files)
        try await OffloadBundle.gather(request.files, into: files, limits)
        let manifest = try await DiskWork.run {
            do { return try OffloadBundle.scan(files, limits).manifest } catch let error as WorkspaceError {
                throw OperationFailure(.invalid, "the files cannot go along: \(error)")
            }
        }
        let encoded = WireBytes(manifest.encoded())
        let asked = RequestOffload(
            id: key.id, task: request.task, preferences: request.preferences, files: encoded)
        _ = try asked.check(limits)
        var record = OffloadRecord(
            role: .asked, peer: key.peer, id: key.id, peerName: pairing.peerName ?? pairing.name,
            pairing: pairing.name, task: request.task, preferences: request.preferences, files: encoded,
            digest: asked.digest)
        (record.fileCount, record.fileBytes) = (manifest.entries.count, Int(manifest.totalBytes))
        return record
    }

    /// Finds the pairing a person means by `cloud`, or by its name or its peer's.
    private func target(_ name: String) async throws -> Pairing {
        let active = try await services.pairings.list().filter { $0.phase == .active && $0.role == .redeemer }
        let named = active.filter { $0.name == name || $0.peerName == name }
        if named.count > 1 {
            throw OperationFailure(
                .invalid, "\"\(name)\" could be \(named.map(\.name).joined(separator: " or "))",
                hint: "use the pairing's name")
        }
        let granting = active.filter { $0.capabilities.contains(.offload) }
        if let pairing = named.first ?? (name == "cloud" && granting.count == 1 ? granting[0] : nil) {
            guard pairing.capabilities.contains(.offload) else {
                throw OperationFailure(
                    .refused, "the pairing \"\(pairing.name)\" does not grant offload",
                    hint: "pair again with --capabilities offload")
            }
            return pairing
        }
        throw OperationFailure(
            .notFound, "no peer whose token this one redeemed is called \"\(name)\"",
            hint: granting.isEmpty
                ? "pair first: 'kars pair generate' there, 'kars pair accept' here"
                : "'kars pair list' shows the pairings: \(granting.map(\.name).joined(separator: ", "))")
    }

    private func list(_ role: OffloadRecord.Role) async throws -> [OffloadProgress] {
        try await services.ledger.all(role).map { record in
            var progress = OffloadProgress(record)
            progress.result = nil
            return progress
        }
    }

    private func show(_ request: ShowOffload) async throws -> OffloadProgress {
        let record = try await find(request.id)
        if let folder = request.folder {
            guard record.phase == .done else {
                throw OperationFailure(
                    .conflict, "the offload \(record.id) is \(record.phase.rawValue); it has no files here")
            }
            let content = try? FileManager.default.contentsOfDirectory(atPath: folder)
            guard content?.isEmpty ?? !FileManager.default.fileExists(atPath: folder) else {
                throw OperationFailure(
                    .invalid, "\(folder) is not an empty folder", hint: "name one that is empty or not there")
            }
            try await WorkspaceCopy.copy(from: services.folder(of: record.key) + "/output", to: folder)
        }
        return OffloadProgress(record, files: record.outcome.map { OffloadBundle.shown($0.files) } ?? [])
    }

    private func cancel(_ id: String) async throws -> OffloadProgress {
        let record = try await find(id)
        let key = record.key
        let wasOver = record.phase.isOver
        if let follower = followers[key] {
            follower.cancel()
            await follower.value
        }
        let ended = try await services.ledger.change(key) { record in
            guard !record.phase.isOver else { return }
            record.phase = .cleaned
            record.message = "cancelled here"
        }
        guard let ended else { throw Self.unknown(id) }
        // A peer that cannot be reached is told later.
        await OffloadFollower(services: services, key: key).settle()
        let settled = try await services.ledger.find(key)
        if wasOver, settled?.isSettled == true {
            try await forget(key)
        } else {
            let folder = services.folder(of: key)
            if ended.phase != .done { try await DiskWork.run { try TreeRemoval.remove(folder) } }
            if settled?.isSettled == false { follow(key) }
        }
        return OffloadProgress(ended)
    }

    private func find(_ id: String) async throws -> OffloadRecord {
        let all = try await services.ledger.all(.asked)
        if let exact = all.first(where: { $0.id == id }) { return exact }
        let meant = id.utf8.count >= Self.shortestID ? all.filter { $0.id.hasPrefix(id) } : []
        guard meant.count <= 1 else {
            throw OperationFailure(
                .invalid, "\"\(id)\" begins the ids of \(meant.count) offloads", hint: "give more of it")
        }
        guard let record = meant.first else { throw Self.unknown(id) }
        return record
    }

    private func forget(_ key: OffloadRecord.Key) async throws {
        try await services.ledger.remove(key)
        let folder = services.folder(of: key)
        try await DiskWork.run { try TreeRemoval.remove(folder) }
    }

    private func prune() async throws {
        let over = try await services.ledger.all(.asked).filter { $0.phase.isOver && $0.isSettled }
        for record in over.dropFirst(Self.keptOffloads - 1) { try await forget(record.key) }
    }

    private static func unknown(_ id: String) -> OperationFailure {
        OperationFailure(
            .notFound, "this peer asked for no offload \"\(id)\"", hint: "'kars offload list' shows them")
    }
}

extension OffloadRecord {
    /// What the peer is asked, the same each time.
    var request: RequestOffload { RequestOffload(id: id, task: task, preferences: preferences, files: files) }
}
