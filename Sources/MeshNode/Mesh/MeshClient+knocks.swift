import FoundationEssentials
import MeshIdentity

// Someone's KNOCK to us (AgentMesh wire §6).
extension MeshClient {
    /// Reasons of a rejection that do not say no for good: too many KNOCKs at once, a prekey that is gone.
    static let busy = "busy"
    static let unusable = "unusable"
    static let passingReasons: Set<String> = [busy, unusable]

    /// Takes a KNOCK; it is decided in a task of its own, because deciding may ask the registry and other
    /// peers' frames do not wait for that.
    func receive(_ frame: KnockFrame, from peerDID: DID) {
        enum Step { case decide, waits(overtaken: KnockFrame?), busy, moot }
        let isForUs = (try? DID(parsing: frame.to))?.names(identity.publicKey) ?? false
        let step = state.withLock { state -> Step in
            guard isForUs, !state.isStopped else { return .moot }
            if let decision = state.deciding[peerDID] {
                state.deciding[peerDID]!.next = frame
                return .waits(overtaken: decision.next)
            }
            // Both sides knock at once: the KNOCK of the smaller DID counts.
            if state.knocking[peerDID]?.sent != nil && identity.did < peerDID { return .moot }
            guard state.deciding.count < limits.concurrentKnocks else { return .busy }
            state.deciding[peerDID] = Decision()
            return .decide
        }
        switch step {
        case .decide: Task { await decide(frame, from: peerDID) }
        case .waits(let overtaken): acknowledge(overtaken.map { [$0.id] } ?? [])
        case .busy: refuse(frame, peerDID, Self.busy)
        case .moot: acknowledge([frame.id])
        }
    }

    private func decide(_ frame: KnockFrame, from peerDID: DID) async {
        var frame: KnockFrame? = frame
        var unopened: [MessageFrame] = []
        while let current = frame {
            await decideOne(current, from: peerDID)
            (frame, unopened) = state.withLock { state in
                if let next = state.deciding[peerDID]?.next {
                    state.deciding[peerDID]!.next = nil
                    return (next, [])
                }
                state.deciding[peerDID] = nil
                // Inside the lock, so that no newer message is opened before those that waited.
                return (nil, state.buffer.take(peerDID).filter { !tryOpen($0, from: peerDID, &state) })
            }
        }
        for message in unopened { await cannotOpen(message, from: peerDID) }
    }

    private func decideOne(_ frame: KnockFrame, from peerDID: DID) async {
        let peer: PeerIdentity
        do {
            peer = try await proven(frame, peerDID)
        } catch {
            logger.warn("a KNOCK was dropped", ["peer": peerDID, "error": "\(error)"])
            return acknowledge([frame.id])
        }
        do {
            let knock = IncomingKnock(peer: peer, intent: frame.intent, isBound: frame.isBound(by: peer.key))
            switch await policy(knock) {
            case .accept(let conditions): try await admit(frame, peer, conditions)
            case .reject(let reason): refuse(frame, peerDID, reason)
            }
        } catch {
            logger.warn("a KNOCK could not be taken", ["peer": peerDID, "error": "\(error)"])
            refuse(frame, peerDID, Self.unusable)
        }
    }

    /// The key behind a KNOCK, checked against its DID, its X3DH key and its signature.
    private func proven(_ frame: KnockFrame, _ peerDID: DID) async throws -> PeerIdentity {
        if try await store.hasReceived(Self.ephemeralName(frame)) {
            throw OperationFailure(.refused, "this KNOCK was seen before")
        }
        if case .signed(let key) = try frame.verify() { return PeerIdentity(key: key) }
        // Unsigned KNOCKs are let in from registered agents only (AgentMesh wire §8).
        guard let known = try await registry.key(of: peerDID, as: identity) else {
            throw OperationFailure(.refused, "the sender is not registered")
        }
        switch try frame.verify(key: known) {
        case .signed(let key), .unsigned(let key): return PeerIdentity(key: key)
        case .keyUnknown: throw OperationFailure(.refused, "the key of the sender is not known")
        }
    }

    /// Under which name a KNOCK is remembered. The sender is part of it, or somebody else could use up the
    /// ephemeral key of a KNOCK that is still on its way.
    static func ephemeralName(_ frame: KnockFrame) -> String {
        guard let establishment = frame.establishment else {
            return NodeStore.knockPrefix + Base64.encodeURL(SHA256Digest.hash(Array("\(frame.from)|\(frame.id)".utf8)))
        }
        return startName(establishment)
    }

    /// Under which name a key agreement is remembered: it makes one session only.
    static func startName(_ establishment: Establishment) -> String {
        NodeStore.knockPrefix + Base64.encodeURL(SHA256Digest.hash(establishment.ik + establishment.ek))
    }

    private func admit(
        _ frame: KnockFrame, _ peer: PeerIdentity, _ conditions: KnockAcceptFrame.Conditions?
    ) async throws {
        let terms = conditions.map { SessionTerms($0, isInitiator: false, acceptedAt: Date()) }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            state.withLock { state in
                do {
                    var changes: [(name: String, bytes: SecretBytes)] = []
                    if let establishment = frame.establishment {
                        let ratchet = try X3DH.respond(
                            identity: identity, prekeys: &state.prekeys, establishment: establishment,
                            from: frame.from, to: frame.to)
                        var session = state.sessions[peer.did] ?? PeerSession(peer: peer)
                        session.offer(TermedSession(ratchet, terms: terms))
                        keep(session, &state)
                        // The prekeys without the used one are stored together with the session: single use
                        // for ever.
                        changes = [
                            (Self.prekeysName, state.prekeys.serialized()),
                            (PeerSession.secretName(peer.did), session.serialized()),
                        ]
                    } else {
                        awaitStart(of: frame, peer, terms, &state)
                    }
                    store.submitSecrets(changes, remember: [Self.ephemeralName(frame), frame.id]) {
                        continuation.resume(with: $0)
                    }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        // The answer first: a peer that ends between the two is asked again by the relay.
        transmit(
            KnockAcceptFrame(
                from: identity.did.text, to: peer.did.text, knockID: frame.id, conditions: conditions, now: Date()
            ).encode())
        acknowledge([frame.id])
        logger.info("session accepted", ["peer": peer.did])
        Task { await refillPrekeysIfLow() }
    }

    private func refuse(_ frame: KnockFrame, _ peerDID: DID, _ reason: String) {
        transmit(
            KnockRejectFrame(
                from: identity.did.text, to: peerDID.text, knockID: frame.id, reason: reason, now: Date()
            ).encode())
        acknowledge([frame.id])
    }
}
