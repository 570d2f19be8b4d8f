import Transport

extension RelayConnection {
    /// Reads the next page of the inbox when there is room for it and nothing is being read.
    func pump() {
        guard case .open(let agent) = phase, let socket, !drain.isReading else { return }
        // The queue must be empty again before more is read; `webSocketDidDrain` comes back here.
        guard socket.queuedBytes < context.limits.lagBytes / 2 else { return }
        guard context.table.needsDrain(self, at: agent.address) else { return }
        guard let room = drain.window.room else { return waitForAcks() }
        drain.isReading = context.table.readPending(
            for: self, at: agent.address, now: context.milliseconds,
            limit: InboxUsage(
                messages: min(room.messages, Self.pageMessages), bytes: min(room.bytes, context.limits.lagBytes))
        ) { [weak self] page in
            self?.onLoop { $0.push(page, to: agent) }
        }
    }

    /// Most messages of one read, so that a long inbox does not keep the disk from others.
    private static let pageMessages = 256

    /// Starts over from the oldest message without an ack.
    func restartDrain() {
        guard case .open(let agent) = phase else { return }
        guard !drain.isReading else { return drain.mustRestart = true }
        drain.window.forgetAll()
        context.table.rewind(self, at: agent.address)
        pump()
    }

    private func push(_ page: PendingMessages?, to agent: Admission.Agent) {
        drain.isReading = false
        guard case .open = phase, let socket else { return }
        if drain.mustRestart {
            drain.mustRestart = false
            return restartDrain()
        }
        guard let page else {
            // The disk failed; it may be back in a while.
            socket.loop.schedule(after: .seconds(1)) { [weak self] in self?.pump() }
            return
        }
        for message in page.messages {
            drain.window.push(id: message.id, bytes: message.frame.count)
            socket.send(message.frame)
        }
        context.metrics.deliveredLater.add(page.messages.count)
        switch context.table.finishPage(page, for: self, at: agent.address) {
        case .readOn: pump()
        case .live: drain.window.forgetAll()
        case .replaced: break
        }
    }

    private func waitForAcks() {
        guard drain.patience == nil, let socket else { return }
        drain.patience = socket.loop.schedule(after: context.limits.ackPatience) { [weak self] in
            guard let self else { return }
            drain.patience = nil
            drain.window.forgetAll()
            pump()
        }
    }
}
