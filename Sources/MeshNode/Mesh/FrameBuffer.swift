import MeshIdentity

/// Messages that came before their session was ready (wire §6): bounded per peer, in peers and in time.
struct FrameBuffer: Sendable {
    private struct Entry: Sendable {
        var frames: [MessageFrame] = []
        let since: ContinuousClock.Instant
    }

    private var entries: [DID: Entry] = [:]
    private var order: [DID] = []

    /// Keeps a frame; the oldest of a peer, or of the oldest peer, gives way.
    ///
    /// - Returns: the ids of frames that were dropped. They are acknowledged, or the relay would bring them
    ///   again at every connect and hold back newer ones.
    mutating func append(
        _ frame: MessageFrame, from peer: DID, limits: MeshLimits, now: ContinuousClock.Instant = .now
    ) -> [String] {
        var dropped: [String] = []
        while let oldest = order.first, let entry = entries[oldest],
            now - entry.since > limits.bufferLifetime
                || (order.count >= limits.bufferingPeers && entries[peer] == nil)
        {
            dropped += take(oldest).map(\.id)
        }
        if entries[peer] == nil {
            entries[peer] = Entry(since: now)
            order.append(peer)
        }
        entries[peer]!.frames.append(frame)
        if entries[peer]!.frames.count > limits.bufferedMessagesPerPeer {
            dropped.append(entries[peer]!.frames.removeFirst().id)
        }
        return dropped
    }

    /// Takes out what waits of one peer, in order.
    mutating func take(_ peer: DID) -> [MessageFrame] {
        order.removeAll { $0 == peer }
        return entries.removeValue(forKey: peer)?.frames ?? []
    }
}
