import MeshNode

/// Finds the peer at which an agent will live: the one that was asked, or another that it names and vouches for.
struct PlaceFinder: Sendable {
    /// How long a place may take to be made; an image may have to be fetched for it.
    static let patience = Duration.seconds(600)
    private static let pause = Duration.milliseconds(500)

    let calls: MeshCalls
    let pairings: PairingService

    /// Waits until there is a place.
    func place(
        for sandbox: SandboxRecord, at asked: PeerIdentity, named name: String
    ) async throws -> PeerIdentity {
        let deadline = ContinuousClock.now + Self.patience
        var isBeingMade = false
        while true {
            let answer: FindPlace.Answer
            do {
                answer = try await ask(FindPlace(spec: sandbox.spec, lineage: sandbox.lineage), asked)
            } catch let failure as OperationFailure
            where isBeingMade && [.timedOut, .unavailable].contains(failure.code) && ContinuousClock.now < deadline {
                // It restarts, and makes the place from what it wrote down.
                try await Task.sleep(for: Self.pause)
                continue
            }
            isBeingMade = true
            if let key = answer.peer {
                guard key != asked.key else { return asked }
                let peer = PeerIdentity(key: key)
                // What it may do it may as long as the one that names it.
                guard let source = await pairings.active(with: asked) else {
                    throw OperationFailure(.refused, "the pairing with \(name) has ended")
                }
                if await pairings.active(with: peer) == nil {
                    _ = try await pairings.introduce(
                        peer, named: "\(name)-\(sandbox.name)", as: name, by: asked, role: .place,
                        capabilities: source.capabilities, expiresAt: source.expiresAt)
                }
                return peer
            }
            guard let reason = answer.waitingFor else { return asked }
            guard ContinuousClock.now < deadline else {
                throw OperationFailure(
                    .timedOut, "\(name) has no place for \(sandbox.name) yet: it waits for \(reason)",
                    hint: "it goes on there; run this again in a while")
            }
            try await Task.sleep(for: Self.pause)
        }
    }

    /// The place that is there already; nil where one would be made.
    func presentPlace(for sandbox: SandboxRecord, at asked: PeerIdentity) async throws -> PeerIdentity? {
        let answer = try await ask(FindPlace(spec: sandbox.spec, lineage: sandbox.lineage, isRehearsal: true), asked)
        if let key = answer.peer { return PeerIdentity(key: key) }
        return answer.waitingFor == nil ? asked : nil
    }

    private func ask(_ question: FindPlace, _ peer: PeerIdentity) async throws -> FindPlace.Answer {
        do { return try await calls.call(question, of: peer) } catch let failure as OperationFailure
        where failure.isUnknownOperation {
            // Of a version without this question, which runs its agents itself.
            return FindPlace.Answer()
        }
    }
}
