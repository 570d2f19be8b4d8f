import FoundationEssentials
import MeshIdentity

// Key agreements that come with the first message instead of the KNOCK (AgentMesh wire §8).
extension MeshClient {
    /// Remembers an accepted KNOCK until its first message; after a restart the peer KNOCKs again.
    func awaitStart(of frame: KnockFrame, _ peer: PeerIdentity, _ terms: SessionTerms?, _ state: inout State) {
        state.uses += 1
        state.awaitedStarts[peer.did] = AwaitedStart(
            number: state.uses, peer: peer, from: frame.from, to: frame.to, terms: terms)
        guard state.awaitedStarts.count > limits.awaitedStarts,
            let oldest = state.awaitedStarts.min(by: { $0.value.number < $1.value.number })
        else { return }
        state.awaitedStarts[oldest.key] = nil
    }

    /// The message without its key agreement when that made a session before.
    func withoutRepeatedStart(_ message: MessageFrame) async -> MessageFrame {
        guard let establishment = message.establishment else { return message }
        let isRepeat = (try? await store.hasReceived(Self.startName(establishment))) ?? true
        guard isRepeat else { return message }
        var message = message
        message.establishment = nil
        return message
    }

    /// Makes the session that an accepted KNOCK waits for, if the message opens in it; otherwise nothing changes.
    ///
    /// - Returns: what was opened, the session, and what is to be stored with it.
    func startSession(
        with message: MessageFrame, from sender: DID, _ state: inout State
    ) -> (opened: PeerSession.Opened, session: PeerSession, name: String)? {
        guard let awaited = state.awaitedStarts[sender], let establishment = message.establishment,
            establishment.belongs(to: awaited.peer.key)
        else { return nil }
        let name = Self.startName(establishment)
        guard !state.recentStarts.contains(name) else { return nil }
        var prekeys = state.prekeys
        guard
            let ratchet = try? X3DH.respond(
                identity: identity, prekeys: &prekeys, establishment: establishment, from: awaited.from,
                to: awaited.to)
        else { return nil }
        var session = state.sessions[sender] ?? PeerSession(peer: awaited.peer)
        session.offer(TermedSession(ratchet, terms: awaited.terms))
        guard let opened = session.decrypt(message.message) else { return nil }
        state.prekeys = prekeys
        state.awaitedStarts[sender] = nil
        state.recentStarts.append(name)
        if state.recentStarts.count > limits.awaitedStarts { state.recentStarts.removeFirst() }
        keep(session, &state)
        return (opened, session, name)
    }
}
