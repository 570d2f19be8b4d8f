import MeshIdentity
import Sandboxes

extension SandboxService {
    // MARK: For this peer's operator

    /// The log of an agent, read here or at the peer where it lives.
    public func streamLogs(_ request: StreamLogs, asking calls: MeshCalls) throws -> StreamWork {
        let record = try record(request.sandboxName)
        guard record.home.key == identity.publicKey else {
            let there = StreamGuestLogs(lineage: record.lineage, request: request.request)
            return { try await StreamBridge.run($0, over: try await Self.open(there, of: record, calls)) }
        }
        return { [self] in try await feed(request.request, of: record.name, to: $0) { _ = try await self.record(record.name) } }
    }

    /// A program beside an agent, run here or at the peer where it lives.
    public func streamShell(_ request: StreamShell, asking calls: MeshCalls) throws -> StreamWork {
        let record = try record(request.sandboxName)
        try request.request.validate()
        guard record.home.key == identity.publicKey else {
            let there = StreamGuestShell(lineage: record.lineage, request: request.request)
            return { try await StreamBridge.run($0, over: try await Self.open(there, of: record, calls)) }
        }
        return try shellWork(request.request, of: record.name)
    }

    private static func open(
        _ operation: some StreamOperation, of record: SandboxRecord, _ calls: MeshCalls
    ) async throws -> any PeerStream {
        do { return try await calls.open(operation, at: record.home) } catch let failure as OperationFailure
        where failure.isUnknownOperation {
            throw OperationFailure(
                .refused, "\(record.homeName) runs a version of kars that has no streams",
                hint: "bring \(record.name) home with 'kars handoff \(record.name) --to local'")
        }
    }

    // MARK: For other peers

    /// The log of an agent that `peer` was a home of.
    public func streamGuestLogs(_ request: StreamGuestLogs, for peer: PeerIdentity) throws -> StreamWork {
        let name = try guest(request.lineage, of: peer).name
        return { [self] in
            // It may move on, or go, while it is followed.
            try await feed(request.request, of: name, to: $0) { _ = try await self.guest(request.lineage, of: peer) }
        }
    }

    /// A program beside an agent that `peer` was a home of; that there was one goes into the agent's record of decisions.
    public func streamGuestShell(_ request: StreamGuestShell, for peer: PeerIdentity) async throws -> StreamWork {
        let record = try guest(request.lineage, of: peer)
        try request.request.validate()
        let work = try shellWork(request.request, of: record.name)
        // Not while it moves: its record of decisions is on its way then, and so is the sandbox.
        try await exclusively(record.name) {
            try await audit.append(
                record.lineage, agent: peer.did.text, action: StreamGuestShell.name, decision: "allowed")
        }
        return work
    }

    /// The agent of that lineage, when it lives here and `peer` was a home of it. Others learn no more than that there is
    /// no such agent.
    func guest(_ lineage: DID, of peer: PeerIdentity) throws -> SandboxRecord {
        guard let record = record(ofLineage: lineage), record.home.key == identity.publicKey,
            record.formerHomes.contains(peer.did)
        else { throw OperationFailure(.notFound, "no agent of that peer lives here under this name") }
        return record
    }

    // MARK: The work

    private func shellWork(_ request: ShellRequest, of name: String) throws -> StreamWork {
        let socket = try shell(name).socket
        return { try await SandboxShellRun(agent: name, socket: socket, request: request).run(on: $0) }
    }

    /// Sends what a log has, and goes on with what it gets.
    ///
    /// - Parameter check: throws once the one who reads may no longer.
    private nonisolated func feed(
        _ request: LogRequest, of name: String, to stream: any PeerStream,
        while check: @escaping @Sendable () async throws -> Void
    ) async throws -> StreamResult {
        try await withThrowingTaskGroup(of: Void.self) { group in
            // Nothing is to come, but a reader that went away is noticed here, also while nothing is written.
            group.addTask { while try await stream.next() != nil {} }
            group.addTask { [self] in
                var after = request.after
                while true {
                    try await check()
                    let part = try await logs(
                        SandboxLogs(
                            sandboxName: name, tail: request.tail, log: request.log, after: after, since: request.since,
                            withTimes: request.withTimes))
                    after = part.end
                    try await stream.send(StreamItem(.output, PeerJSON.encode(part)))
                    if !request.follows || part.isOver == true { return }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
            return StreamResult()
        }
    }
}
