import FoundationEssentials
import MeshIdentity

// Everything the relay brings.
extension MeshClient {
    /// Handles one frame; frames of one peer are handled in the order they came.
    func receive(_ bytes: [UInt8]) async {
        let frame: IncomingFrame
        do {
            frame = try IncomingFrame.decode(bytes)
        } catch {
            return logger.warn("an unreadable frame was dropped", ["bytes": bytes.count])
        }
        switch frame {
        case .message(let message):
            guard let sender = Self.sender(message.from) else { return }
            if mustWait(message, from: sender) { return }
            await open(message, from: sender)
        case .knock(let knock):
            guard let sender = Self.sender(knock.from) else { return }
            // Deciding may ask the registry: other peers' frames do not wait for it.
            Task { await decide(knock, from: sender) }
        case .knockAccept(let accept):
            guard let sender = Self.sender(accept.from) else { return }
            await self.accept(accept, from: sender)
            transmit(AckFrame(id: accept.id).encode())
        case .knockReject(let rejection):
            guard let sender = Self.sender(rejection.from) else { return }
            reject(rejection, from: sender)
            transmit(AckFrame(id: rejection.id).encode())
        case .error(let detail):
            logger.warn("the relay reports", ["detail": String(detail.prefix(200))])
        default: break
        }
    }

    private static func sender(_ text: String) -> DID? { try? DID(parsing: text) }

    /// Keeps a message back while its peer's KNOCK is being decided.
    private func mustWait(_ message: MessageFrame, from sender: DID) -> Bool {
        let dropped = state.withLock { state -> [String]? in
            guard state.deciding.contains(sender) || state.sessions[sender] == nil else { return nil }
            return state.buffer.append(message, from: sender, limits: limits)
        }
        for id in dropped ?? [] { transmit(AckFrame(id: id).encode()) }
        return dropped != nil
    }

    /// Opens a message, stores the step, then acknowledges and hands it on.
    func open(_ message: MessageFrame, from sender: DID) async {
        let isOpened = state.withLock { state -> Bool in
            guard var session = state.sessions[sender],
                let plaintext = try? session.ratchet.decrypt(message.message)
            else { return false }
            state.uses += 1
            session.lastUse = state.uses
            state.sessions[sender] = session
            let peer = session.peer
            store.submitSecret(
                session.serialized(), name: PeerSession.secretName(sender), alsoRemember: message.id
            ) { [self] result in
                switch result {
                case .success:
                    transmit(AckFrame(id: message.id).encode())
                    onMessage(peer, plaintext)
                case .failure(let error):
                    // Not acknowledged: the relay brings it again, and a restart reads the older state.
                    logger.error("a session could not be stored", ["error": "\(error)"])
                }
            }
            return true
        }
        if !isOpened { await cannotOpen(message, from: sender) }
    }

    /// A message that does not open is a repeat, or the sessions have drifted apart.
    private func cannotOpen(_ message: MessageFrame, from sender: DID) async {
        let isRepeat = (try? await store.hasReceived(message.id)) ?? false
        transmit(AckFrame(id: message.id).encode())
        guard !isRepeat else { return }
        logger.warn("a message did not open", ["peer": sender])
        await resynchronise(with: sender)
    }

    /// Makes a fresh session, at most one per pause; the old one stays in use until it is taken.
    func resynchronise(with sender: DID) async {
        let peer = state.withLock { state -> PeerIdentity? in
            guard let session = state.sessions[sender] else { return nil }
            let now = ContinuousClock.now
            if let last = state.resynchronised[sender], now - last < limits.resynchronisationPause {
                return nil
            }
            state.resynchronised[sender] = now
            return session.peer
        }
        guard let peer else { return }
        Task {
            do {
                try await knock(peer)
                logger.info("a fresh session replaced one that had drifted", ["peer": sender])
            } catch {
                logger.warn("no fresh session", ["peer": sender, "error": "\(error)"])
            }
        }
    }
}
