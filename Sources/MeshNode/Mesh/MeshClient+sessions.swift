import FoundationEssentials
import MeshIdentity

// Making sessions: our KNOCK to a peer, and theirs to us (AgentMesh wire §6).
extension MeshClient {
    /// The action of every KNOCK of ours; what the session is used for is decided operation by operation.
    static let intent = Intent(action: "establish_session")

    /// Returns when the session with the peer is open for sending.
    func establishSession(with peer: PeerIdentity) async throws {
        if hasSession(with: peer.did) { return }
        try await knock(peer)
    }

    /// KNOCKs, or joins the KNOCK that is under way.
    func knock(_ peer: PeerIdentity) async throws {
        if state.withLock({ $0.knocking[peer.did] == nil }) { try await sendKnock(to: peer) }
        let id = state.withLock { $0.knocking[peer.did]?.id }
        guard let id else { return }  // answered meanwhile
        let deadline = Task {
            try await Task.sleep(for: limits.knockDecision)
            giveUpKnock(id, peer, OperationFailure(
                .unavailable, "\(peer.did) did not answer the KNOCK",
                hint: "is that peer running, and on the same relay?"))
        }
        defer { deadline.cancel() }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            let isAnswered = state.withLock { state -> Bool in
                guard state.knocking[peer.did]?.id == id else { return true }
                state.knocking[peer.did]!.waiters.append(continuation)
                return false
            }
            guard isAnswered else { return }
            if hasSession(with: peer.did) {
                continuation.resume()
            } else {
                continuation.resume(
                    throwing: OperationFailure(.unavailable, "\(peer.did) did not take the session"))
            }
        }
    }

    private func sendKnock(to peer: PeerIdentity) async throws {
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
        let isFirst = state.withLock { state -> Bool in
            guard state.knocking[peer.did] == nil else { return false }
            state.knocking[peer.did] = OutgoingKnock(id: frame.id, peer: peer, ratchet: ratchet)
            return true
        }
        guard isFirst else { return }
        guard transmit(frame.encode()) else {
            let failure = OperationFailure(.unavailable, "the relay is not connected")
            giveUpKnock(frame.id, peer, failure)
            throw failure
        }
    }

    func giveUpKnock(_ id: String, _ peer: PeerIdentity, _ failure: OperationFailure) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, any Error>] in
            guard state.knocking[peer.did]?.id == id else { return [] }
            return state.knocking.removeValue(forKey: peer.did)?.waiters ?? []
        }
        for waiter in waiters { waiter.resume(throwing: failure) }
    }

    /// The peer took our KNOCK: the session is open, and a first message lets the other side send too.
    func accept(_ frame: KnockAcceptFrame, from peerDID: DID) async {
        let taken = state.withLock { state -> OutgoingKnock? in
            guard let knock = state.knocking[peerDID], knock.id == frame.knockID else { return nil }
            state.knocking[peerDID] = nil
            return knock
        }
        guard let taken else { return }
        do {
            try await install(PeerSession(peer: taken.peer, ratchet: taken.ratchet), consumed: frame.id)
            try await sealHello(to: taken.peer)
            for waiter in taken.waiters { waiter.resume() }
        } catch {
            for waiter in taken.waiters { waiter.resume(throwing: error) }
        }
    }

    /// A responder has no sending chain before its first receive (wire §3).
    private func sealHello(to peer: PeerIdentity) async throws {
        try await send(PeerJSON.encode(["type": "kars:hello"]), to: peer)
    }

    func reject(_ frame: KnockRejectFrame, from peerDID: DID) {
        guard let peer = state.withLock({ $0.knocking[peerDID]?.peer }) else { return }
        giveUpKnock(
            frame.knockID, peer,
            OperationFailure(.refused, "\(peerDID) refused the session: \(frame.reason.prefix(100))"))
    }

    /// Puts a session in place of whatever there was; durable when this returns.
    private func install(_ session: PeerSession, consumed messageID: String) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            state.withLock { state in
                state.uses += 1
                var session = session
                session.lastUse = state.uses
                state.sessions[session.peer.did] = session
                evictSessions(&state)
                store.submitSecret(
                    session.serialized(), name: PeerSession.secretName(session.peer.did),
                    alsoRemember: messageID
                ) { continuation.resume(with: $0) }
            }
        }
    }

    private func evictSessions(_ state: inout State) {
        guard state.sessions.count > limits.maximumSessions,
            let oldest = state.sessions.values.min(by: { $0.lastUse < $1.lastUse })
        else { return }
        state.sessions[oldest.peer.did] = nil
    }

    /// Someone wants a session with us.
    func decide(_ frame: KnockFrame, from peerDID: DID) async {
        guard (try? DID(parsing: frame.to))?.names(identity.publicKey) ?? false else { return }
        let isOurs = state.withLock { state -> Bool in
            guard state.deciding.count < limits.concurrentKnocks, !state.deciding.contains(peerDID) else {
                return false
            }
            // Both sides knock at once: the KNOCK of the smaller DID counts.
            if state.knocking[peerDID] != nil && identity.did < peerDID { return false }
            state.deciding.insert(peerDID)
            return true
        }
        guard isOurs else { return }
        do {
            let peer = try await proven(frame, peerDID)
            switch await policy(peer, frame.intent) {
            case .accept: try await admit(frame, peer)
            case .reject(let reason): try await refuse(frame, peerDID, reason)
            }
        } catch {
            logger.warn("a KNOCK was dropped", ["peer": peerDID, "error": "\(error)"])
            transmit(AckFrame(id: frame.id).encode())
        }
        let waiting = state.withLock { state -> [MessageFrame] in
            state.deciding.remove(peerDID)
            return state.buffer.take(peerDID)
        }
        for message in waiting { await open(message, from: peerDID) }
    }

    /// The key behind a KNOCK, checked against its DID, its X3DH key and its signature.
    private func proven(_ frame: KnockFrame, _ peerDID: DID) async throws -> PeerIdentity {
        if try await store.hasReceived(Self.ephemeralName(frame)) {
            throw OperationFailure(.refused, "this KNOCK was seen before")
        }
        if case .signed(let key) = try frame.verify() { return PeerIdentity(key: key) }
        // Unsigned KNOCKs are let in from registered agents only (AgentMesh wire §8).
        guard let registered = try await registry.agent(peerDID) else {
            throw OperationFailure(.refused, "the sender is not registered")
        }
        let known = try registered.publicKey.flatMap(Base64.decode).map { try PublicKey(bytes: $0) }
        switch try frame.verify(key: known) {
        case .signed(let key), .unsigned(let key): return PeerIdentity(key: key)
        case .keyUnknown: throw OperationFailure(.refused, "the key of the sender is not known")
        }
    }

    private static func ephemeralName(_ frame: KnockFrame) -> String {
        "knock:" + Base64.encodeURL(frame.establishment?.ek ?? [])
    }

    private func admit(_ frame: KnockFrame, _ peer: PeerIdentity) async throws {
        guard let establishment = frame.establishment else {
            throw OperationFailure(.invalid, "the KNOCK carries no key agreement")
        }
        // The prekeys without the used one are stored before the session exists: single use for ever.
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            state.withLock { state in
                do {
                    let ratchet = try X3DH.respond(
                        identity: identity, prekeys: &state.prekeys, establishment: establishment,
                        from: frame.from, to: frame.to)
                    store.submitSecret(
                        state.prekeys.serialized(), name: Self.prekeysName,
                        alsoRemember: Self.ephemeralName(frame)
                    ) { if case .failure(let error) = $0 { self.logger.error("prekeys", ["error": "\(error)"]) } }
                    let session = PeerSession(peer: peer, ratchet: ratchet)
                    state.sessions[peer.did] = session
                    evictSessions(&state)
                    store.submitSecret(
                        session.serialized(), name: PeerSession.secretName(peer.did), alsoRemember: frame.id
                    ) { continuation.resume(with: $0) }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        // A KNOCK of ours that crossed this one is moot; its waiters use this session once it can send.
        let crossed = state.withLock { $0.knocking.removeValue(forKey: peer.did) }
        transmit(AckFrame(id: frame.id).encode())
        transmit(
            KnockAcceptFrame(from: identity.did.text, to: peer.did.text, knockID: frame.id, now: Date()).encode())
        for waiter in crossed?.waiters ?? [] {
            waiter.resume(throwing: OperationFailure(.unavailable, "the sessions crossed; try again"))
        }
        logger.info("session accepted", ["peer": peer.did])
        await refillPrekeysIfLow()
    }

    private func refuse(_ frame: KnockFrame, _ peerDID: DID, _ reason: String) async throws {
        transmit(AckFrame(id: frame.id).encode())
        transmit(
            KnockRejectFrame(
                from: identity.did.text, to: peerDID.text, knockID: frame.id, reason: reason, now: Date()
            ).encode())
    }
}
