import MeshIdentity

extension SandboxService {
    /// How long `kars list` waits for the peers where agents of this one live.
    private static let peerPatience = Duration.milliseconds(1500)

    // MARK: For other peers

    /// The agents that live here and that `peer` was a home of, without what only this peer's operator needs.
    public func guests(of peer: PeerIdentity) -> [SandboxSummary] {
        records.values.filter { $0.home.key == identity.publicKey && $0.formerHomes.contains(peer.did) }
            .sorted { $0.name < $1.name }.map {
                var summary = summary(of: $0)
                summary.gatewayURL = nil
                summary.tokenFile = nil
                return summary
            }
    }

    /// Destroys an agent that `peer` was a home of.
    public func destroyGuest(_ lineage: DID, for peer: PeerIdentity) async throws {
        let record = try guest(lineage, of: peer)
        try await destroy(DestroySandbox(sandboxName: record.name), by: peer.did.text)
    }

    // MARK: With the help of other peers

    /// All sandboxes, those that live elsewhere with what their home says of them now.
    public func list(asking calls: MeshCalls) async -> [SandboxSummary] {
        let away = records.values.filter { $0.home.key != identity.publicKey }
        let homes = Dictionary(grouping: away, by: \.home)
        guard !homes.isEmpty else { return list() }
        let told = await withTaskGroup(of: [SandboxSummary].self, returning: [String: SandboxSummary].self) { group in
            for home in homes.keys {
                group.addTask { await Self.guests(at: home, calls) }
            }
            return await group.reduce(into: [:]) { found, answers in
                for answer in answers { found[answer.did] = answer }
            }
        }
        let dids = Dictionary(uniqueKeysWithValues: away.map { ($0.name, $0.agent.text) })
        return list().map { summary in
            // Matched by the agent's key: another peer names its agents as it likes.
            guard let did = dids[summary.name], let there = told[did] else { return summary }
            var merged = summary
            merged.status = there.status
            merged.driver = there.driver
            merged.settings = there.settings
            merged.epoch = there.epoch
            return merged
        }
    }

    private static func guests(at home: PeerIdentity, _ calls: MeshCalls) async -> [SandboxSummary] {
        await withTaskGroup(of: [SandboxSummary]?.self) { group in
            group.addTask { try? await calls.call(ListGuests(), of: home) }
            group.addTask {
                try? await Task.sleep(for: peerPatience)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next()?.flatMap(\.self) ?? []
        }
    }

    public func destroyElsewhere(_ request: DestroyElsewhere, asking calls: MeshCalls) async throws {
        let record = try record(request.sandboxName)
        guard record.home.key != identity.publicKey else {
            throw OperationFailure(
                .refused, "\(record.name) lives here", hint: "'kars destroy \(record.name)' removes it")
        }
        do {
            _ = try await calls.call(DestroyGuest(lineage: record.lineage), of: record.home)
        } catch let failure as OperationFailure where failure.code == .notFound {
            // It is gone there, or has moved on since; only the registry knows, and the copy here stays until then.
            throw OperationFailure(
                .notFound, "\(record.homeName) says that \(record.name) does not live there",
                hint: "'kars destroy \(record.name) --local' removes what it left here")
        }
        try await destroy(DestroySandbox(sandboxName: record.name, dormantCopy: true))
    }
}
