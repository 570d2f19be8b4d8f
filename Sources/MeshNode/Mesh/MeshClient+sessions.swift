import FoundationEssentials
import MeshIdentity

// Our KNOCK to a peer (AgentMesh wire §6).
extension MeshClient {
    /// The action of every KNOCK of ours; what the session is used for is decided operation by operation.
    static let intent = Intent(action: Intent.establishSession)

    /// Returns when the session with the peer is open for sending.
    func establishSession(with peer: PeerIdentity) async throws {
        if hasSession(with: peer.did) { return }
        try await knock(peer)
    }

    /// KNOCKs, or joins the KNOCK that is under way; returns when the peer has taken the session.
    func knock(_ peer: PeerIdentity) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let number = state.withLock { state -> Int? in
                guard !state.isStopped else {
                    continuation.resume(throwing: Self.stopping)
                    return nil
                }
                guard state.knocking[peer.did] == nil else {
                    state.knocking[peer.did]!.waiters.append(continuation)
                    return nil
                }
                state.uses += 1
                state.knocking[peer.did] = OutgoingKnock(number: state.uses, peer: peer, waiters: [continuation])
                return state.uses
            }
            if let number { Task { await carryOut(number, peer) } }
        }
    }

    private func carryOut(_ number: Int, _ peer: PeerIdentity) async {
        do {
            guard isConnected else { throw Self.disconnected }
            let bundle = try await registry.prekeyBundle(of: peer.did)
            // The key is pinned: a registry that answers with another one gets no session.
            try bundle.verify(for: peer.did)
            guard bundle.identityKeyEd == peer.key.bytes else {
                throw OperationFailure(.refused, "the registry names another key for \(peer.did)")
            }
            let (ratchet, establishment) = try X3DH.initiate(
                identity: identity, bundle: bundle, from: identity.did.text, to: peer.did.text)
            let frame = KnockFrame.make(
                identity: identity, to: peer.did.text, intent: Self.intent, establishment: establishment,
                now: Date())
            // A KNOCK of the peer may have been answered meanwhile, and its session proven.
            let isWanted = state.withLock { state in
                guard state.knocking[peer.did]?.number == number else { return false }
                state.knocking[peer.did]!.sent = (frame.id, ratchet)
                state.knocking[peer.did]!.deadline = Task { await deadlineOfKnock(number, peer) }
                return true
            }
            if isWanted, !transmit(frame.encode()) { throw Self.disconnected }
        } catch {
            giveUpKnock(number, peer, error)
        }
    }

    private func deadlineOfKnock(_ number: Int, _ peer: PeerIdentity) async {
        guard (try? await Task.sleep(for: limits.knockDecision)) != nil else { return }
        giveUpKnock(
            number, peer,
            OperationFailure(
                .unavailable, "\(peer.did) did not answer the KNOCK",
                hint: "is that peer running, and on the same relay?"))
    }

    private func giveUpKnock(_ number: Int, _ peer: PeerIdentity, _ error: any Error) {
        let knock = state.withLock { state -> OutgoingKnock? in
            guard state.knocking[peer.did]?.number == number else { return nil }
            return state.knocking.removeValue(forKey: peer.did)
        }
        knock?.deadline?.cancel()
        for waiter in knock?.waiters ?? [] { waiter.resume(throwing: error) }
    }

    /// The peer took our KNOCK: the session is open, and a first message lets the other side send too.
    func accept(_ frame: KnockAcceptFrame, from peerDID: DID) async {
        let taken = state.withLock { state -> OutgoingKnock? in
            guard let knock = state.knocking[peerDID], knock.sent?.id == frame.knockID else { return nil }
            state.knocking[peerDID] = nil
            return knock
        }
        guard let taken, let ratchet = taken.sent?.ratchet else { return }
        taken.deadline?.cancel()
        do {
            let terms = frame.conditions.map { SessionTerms($0, isInitiator: true, acceptedAt: Date()) }
            try await install(TermedSession(ratchet, terms: terms), with: taken.peer, consumed: frame.id)
            // A responder has no sending chain before its first receive (AgentMesh wire §3). Where conditions
            // count or name messages, it waits for the first real one.
            if terms == nil { try await send(PeerJSON.encode(["type": "kars:hello"]), to: taken.peer) }
            for waiter in taken.waiters { waiter.resume() }
        } catch {
            for waiter in taken.waiters { waiter.resume(throwing: error) }
        }
    }

    func reject(_ frame: KnockRejectFrame, from peerDID: DID) {
        let knock = state.withLock { state -> OutgoingKnock? in
            guard state.knocking[peerDID]?.sent?.id == frame.knockID else { return nil }
            return state.knocking[peerDID]
        }
        guard let knock else { return }
        // Only a verdict is final; a peer that was busy or could not use its prekey is asked again.
        let code: OperationFailure.Code =
            Self.passingReasons.contains(frame.reason) ? .unavailable : .refused
        giveUpKnock(
            knock.number, knock.peer,
            OperationFailure(code, "\(peerDID) refused the session: \(frame.reason.prefix(100))"))
    }

    /// Puts a session that the peer has taken in place of whatever there was; durable when this returns.
    private func install(
        _ accepted: TermedSession, with peer: PeerIdentity, consumed messageID: String
    ) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            state.withLock { state in
                var session = state.sessions[peer.did] ?? PeerSession(peer: peer)
                session.replace(with: accepted)
                keep(session, &state)
                store.submitSecrets(
                    [(PeerSession.secretName(peer.did), session.serialized())], remember: [messageID]
                ) { continuation.resume(with: $0) }
            }
        }
    }

    /// Keeps a new session; the one unused for longest gives way, also on disk.
    func keep(_ session: PeerSession, _ state: inout State) {
        var session = session
        state.uses += 1
        session.lastUse = state.uses
        state.sessions[session.peer.did] = session
        guard state.sessions.count > limits.maximumSessions,
            let oldest = state.sessions.values.min(by: { $0.lastUse < $1.lastUse })
        else { return }
        state.sessions[oldest.peer.did] = nil
        store.submitRemoval(PeerSession.secretName(oldest.peer.did))
    }
}
