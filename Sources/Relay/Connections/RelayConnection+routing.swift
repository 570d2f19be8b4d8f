import Transport

extension RelayConnection {
    /// Scans one frame and acts on it.
    func handle(_ bytes: UnsafeRawBufferPointer) {
        let frame: ScannedFrame
        do throws(ScanError) {
            frame = try FrameScanner.scan(bytes)
        } catch {
            return fault(.malformed, "\(error)")
        }
        let type = ScannedFrame.withValue(of: frame.type, in: bytes) { FrameType($0) } ?? nil
        switch phase {
        case .awaitingConnect:
            guard type == .connect else { return close(.notConnect, detail: "the first frame must be connect") }
            if ScannedFrame.withValue(of: frame.from, in: bytes, { !$0.isEmpty }) != true {
                return close(.fromMissing, detail: "from is missing")
            }
            admit([UInt8](bytes))
        case .open(let agent):
            guard let type else { return fault(.unknownType, unknownType(frame, bytes)) }
            guard isTruthful(frame, bytes, agent) else { return context.metrics.count(.falseSender) }
            if type.isForwarded {
                forward(frame, bytes, from: agent)
            } else {
                handleControl(type, id: id(of: frame, in: bytes), from: agent)
            }
        case .checking, .closed: return
        }
    }

    private func unknownType(_ frame: ScannedFrame, _ bytes: UnsafeRawBufferPointer) -> String {
        let name = ScannedFrame.withValue(of: frame.type, in: bytes) {
            String(decoding: $0.prefix(64), as: UTF8.self)
        }
        return "Unknown frame type: \(name ?? "none")"
    }

    /// Whether the frame names nobody else as its sender.
    private func isTruthful(
        _ frame: ScannedFrame, _ bytes: UnsafeRawBufferPointer, _ agent: Admission.Agent
    ) -> Bool {
        if frame.from.isAbsent { return true }
        return ScannedFrame.withValue(of: frame.from, in: bytes) { MeshAddress($0) == agent.address } ?? false
    }

    private func id(of frame: ScannedFrame, in bytes: UnsafeRawBufferPointer) -> String? {
        ScannedFrame.withValue(of: frame.id, in: bytes) { id in
            (1...context.limits.idBytes).contains(id.count) ? String(decoding: id, as: UTF8.self) : nil
        } ?? nil
    }

    /// Stores a frame for its recipient and, when it may overtake nothing, sends it at once.
    private func forward(
        _ frame: ScannedFrame, _ bytes: UnsafeRawBufferPointer, from agent: Admission.Agent
    ) {
        guard
            let recipient = ScannedFrame.withValue(of: frame.to, in: bytes, { MeshAddress($0) }) ?? nil
        else { return fault(.invalidRecipient, "to is missing or no DID") }
        guard let id = id(of: frame, in: bytes) else {
            return fault(.invalidID, "id is missing, empty or longer than \(context.limits.idBytes) bytes")
        }
        let payload = frame.from.isAbsent ? frame.stamped(bytes, from: agent.name) : [UInt8](bytes)
        guard payload.count <= context.limits.frameBytes else {
            return fault(.tooLarge, "the frame is longer than \(context.limits.frameBytes) bytes")
        }
        let submission = ConnectionTable.Submission(
            recipient: recipient, sender: agent.address, id: id,
            expires: context.milliseconds + Int64(context.limits.timeToLive / .milliseconds(1)), frame: payload)
        let route = context.table.route(submission) { [context, socket] outcome in
            Self.report(outcome, of: id, to: agent.wantsReceipts ? socket : nil, sender: socket, context)
        }
        switch route {
        case .refused(let reason):
            context.metrics.count(reason)
            let place =
                switch reason {
                case .inboxFull: "the inbox of the recipient"
                case .senderShareFull: "your share of the recipient's inbox"
                default: "the relay"
                }
            socket?.send(RelayFrame.error("message \(id) not accepted: \(place) is full"))
            return
        case .forward(let target):
            context.metrics.deliveredLive.add()
            target.send(payload)
        case .catchUp(let connection): connection.catchUp()
        case .absent(let address): context.successions?.watch(address)
        case .stored: break
        }
        context.metrics.routed.add()
        // A slow disk slows its senders down instead of filling the memory.
        if context.store.queuedBytes > context.limits.writeQueueBytes { pauseReading(for: .milliseconds(20)) }
        // So does a full memory; who sends is read on, since its acks free what waits for it.
        if context.memory.isExceeded { pauseReading(for: .milliseconds(100)) }
    }

    /// Runs on the store's thread, after the commit.
    private static func report(
        _ outcome: StoreOutcome, of id: String, to receiver: WebSocket?, sender: WebSocket?,
        _ context: RelayContext
    ) {
        switch outcome {
        case .stored: context.metrics.stored.add()
        // It is on disk, or was and is acked: its sender need not send it again.
        case .duplicate: context.metrics.count(.duplicate)
        case .failed:
            context.metrics.count(.notStored)
            sender?.send(RelayFrame.error("message \(id) not stored: the relay cannot write"))
            return
        }
        if let receiver { context.receipts.add(id: id, to: receiver) }
    }
}
