import FoundationEssentials
import MeshIdentity

// Everything the relay brings.
extension MeshClient {
    /// Handles one frame; frames of one peer are handled in the order they came.
    func receive(_ bytes: [UInt8]) async {
        do {
            await receive(try IncomingFrame.decode(bytes))
        } catch {
            logger.warn("an unreadable frame was dropped", ["bytes": bytes.count])
            // Kept by the relay it would take the place of what can be read, for three days.
            struct Identified: Decodable { let id: String }
            if let id = PeerJSON.decode(Identified.self, from: bytes)?.id { acknowledge([id]) }
        }
    }

    private func receive(_ frame: IncomingFrame) async {
        switch frame {
        case .message(let message):
            guard let sender = sender(message.from, message.id) else { return }
            await open(await withoutRepeatedStart(message), from: sender)
        case .knock(let knock):
            guard let sender = sender(knock.from, knock.id) else { return }
            receive(knock, from: sender)
        case .knockAccept(let accept):
            guard let sender = sender(accept.from, accept.id) else { return }
            await self.accept(accept, from: sender)
            acknowledge([accept.id])
        case .knockReject(let rejection):
            guard let sender = sender(rejection.from, rejection.id) else { return }
            reject(rejection, from: sender)
            acknowledge([rejection.id])
        case .pending(let frames):
            for frame in frames { await receive(frame) }
        case .error(let detail):
            logger.warn("the relay reports", ["detail": String(detail.prefix(200))])
        case .ack, .heartbeat, .unknown: break
        }
    }

    /// Who sent a frame; one without a sender is acknowledged and dropped.
    private func sender(_ text: String, _ id: String) -> DID? {
        if let sender = try? DID(parsing: text) { return sender }
        acknowledge([id])
        return nil
    }

    /// Opens a message, stores the step, then acknowledges and hands it on.
    ///
    /// One that no session opens waits while its peer's KNOCK is being decided, or for a KNOCK when there is
    /// no session at all.
    private func open(_ message: MessageFrame, from sender: DID) async {
        enum Outcome { case done, waits(dropped: [String], needsSession: Bool), closed }
        let outcome = state.withLock { state -> Outcome in
            if tryOpen(message, from: sender, &state) { return .done }
            let needsSession = state.sessions[sender] == nil
            guard needsSession || state.deciding[sender] != nil else { return .closed }
            if state.buffer.isEmpty { expireBufferLater() }
            return .waits(
                dropped: state.buffer.append(message, from: sender, limits: limits),
                needsSession: needsSession && state.deciding[sender] == nil)
        }
        switch outcome {
        case .done: return
        case .closed: await cannotOpen(message, from: sender)
        case .waits(let dropped, let needsSession):
            acknowledge(dropped)
            // The peer speaks in a session that this one lost; it would not know before its calls time out.
            if needsSession { resynchronise(with: sender) }
        }
    }

    /// Opens a message inside the lock that made the call; false when no session opens it.
    func tryOpen(_ message: MessageFrame, from sender: DID, _ state: inout State) -> Bool {
        var changes: [(name: String, bytes: SecretBytes)] = []
        var remember = [message.id]
        let opened: PeerSession.Opened
        if var session = state.sessions[sender], let found = session.decrypt(message.message) {
            opened = found
            state.uses += 1
            session.lastUse = state.uses
            state.sessions[sender] = session
        } else if let start = startSession(with: message, from: sender, &state) {
            opened = start.opened
            changes.append((Self.prekeysName, state.prekeys.serialized()))
            remember.append(start.name)
        } else {
            return false
        }
        let session = state.sessions[sender]!
        changes.append((PeerSession.secretName(sender), session.serialized()))
        // A KNOCK of ours that crossed the peer's is answered by this: the session can send now.
        let crossed = opened.isProven ? state.knocking.removeValue(forKey: sender) : nil
        crossed?.deadline?.cancel()
        let peer = session.peer
        if let refusal = opened.refusal {
            logger.warn("a message was dropped", ["peer": sender, "reason": refusal])
        }
        store.submitSecrets(changes, remember: remember) { [self] result in
            for waiter in crossed?.waiters ?? [] { waiter.resume(with: result) }
            switch result {
            case .success:
                acknowledge([message.id])
                if opened.refusal == nil { onMessage(peer, opened.plaintext) }
            case .failure(let error):
                logger.error("a session could not be stored", ["error": "\(error)"])
                storeLater(message.id, of: peer, opened)
            }
        }
        return true
    }

    /// Stores the step of an opened message once the disk takes it again; only then it counts as received.
    ///
    /// Above the bound the message is left to the relay and to the state a restart will read.
    private func storeLater(_ id: String, of peer: PeerIdentity, _ opened: PeerSession.Opened) {
        // The completion may come from inside the lock, when the store is closed: the state waits for a task.
        Task {
            let isKept = state.withLock { state in
                guard !state.isStopped, state.unstored.count < limits.unstoredMessages else { return false }
                return state.unstored.insert(id).inserted
            }
            var isStored = !isKept
            while !isStored {
                try? await Task.sleep(for: limits.storePause)
                let result: Result<Void, any Error>? = await withCheckedContinuation { continuation in
                    state.withLock { state in
                        guard !state.isStopped, let session = state.sessions[peer.did] else {
                            return continuation.resume(returning: nil)
                        }
                        store.submitSecrets(
                            [(PeerSession.secretName(peer.did), session.serialized())], remember: [id]
                        ) { continuation.resume(returning: $0) }
                    }
                }
                guard let result else { return }
                if case .success = result {
                    isStored = true
                    _ = state.withLock { $0.unstored.remove(id) }
                    acknowledge([id])
                    if opened.refusal == nil { onMessage(peer, opened.plaintext) }
                }
            }
        }
    }

    private func expireBufferLater() {
        Task {
            var isEmpty = false
            while !isEmpty {
                try? await Task.sleep(for: limits.bufferLifetime)
                let dropped: [String]
                (dropped, isEmpty) = state.withLock { state in
                    let deciding = state.deciding
                    let dropped = state.buffer.expire(except: { deciding[$0] != nil }, limits: limits)
                    return (dropped, state.buffer.isEmpty || state.isStopped)
                }
                acknowledge(dropped)
            }
        }
    }

    /// A message that does not open is a repeat, or the sessions have drifted apart.
    func cannotOpen(_ message: MessageFrame, from sender: DID) async {
        guard state.withLock({ !$0.unstored.contains(message.id) }) else { return }
        let isRepeat = (try? await store.hasReceived(message.id)) ?? false
        acknowledge([message.id])
        guard !isRepeat else { return }
        logger.warn("a message did not open", ["peer": sender])
        resynchronise(with: sender)
    }

    /// Makes a fresh session in the background, at most one per pause; the old one stays in use until the
    /// peer has taken the new one.
    func resynchronise(with sender: DID) {
        enum Step { case knock(PeerIdentity), introduce, nothing }
        let step = state.withLock { state -> Step in
            guard !state.isStopped, state.knocking[sender] == nil, state.deciding[sender] == nil else { return .nothing }
            if let session = state.sessions[sender] {
                return state.pace.allows(sender, pause: limits.resynchronisationPause)
                    ? .knock(session.peer) : .nothing
            }
            guard state.introductions < limits.concurrentIntroductions,
                state.pace.allows(sender, pause: limits.resynchronisationPause)
            else { return .nothing }
            state.introductions += 1
            return .introduce
        }
        if case .nothing = step { return }
        Task {
            do {
                switch step {
                case .knock(let peer): try await knock(peer)
                case .introduce:
                    defer { state.withLock { $0.introductions -= 1 } }
                    guard let peer = try await introduced(sender) else { return }
                    try await knock(peer)
                case .nothing: break
                }
                logger.info("made a fresh session", ["peer": sender])
            } catch {
                logger.warn("no fresh session", ["peer": sender, "error": "\(error)"])
            }
        }
    }

    /// The key of a peer that speaks in a session this one does not have; nil when it would get none.
    private func introduced(_ did: DID) async throws -> PeerIdentity? {
        guard let key = try await registry.key(of: did, as: identity) else { return nil }
        let peer = PeerIdentity(key: key)
        // Our KNOCK proves the peer, so theirs need not.
        guard case .accept = await policy(IncomingKnock(peer: peer, intent: Self.intent, isBound: true)) else {
            return nil
        }
        return peer
    }
}
