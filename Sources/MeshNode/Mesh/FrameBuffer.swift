import MeshIdentity

/// Messages that came before their session was ready (wire §6): bounded per peer, in peers and in time.
///
/// Frames that are dropped are returned, to be acknowledged: the relay would bring them again at every connect
/// and hold back newer ones.
struct FrameBuffer: Sendable {
    private struct Entry: Sendable {
        var frames: [MessageFrame] = []
        let since: ContinuousClock.Instant
    }

    private var entries: [DID: Entry] = [:]
    /// Peers, the one that waits longest first.
    private var order: [DID] = []

    var isEmpty: Bool { order.isEmpty }

    /// Keeps a frame; the oldest of a peer, or of the oldest peer, gives way.
    ///
    /// - Returns: the ids of frames that were dropped.
    mutating func append(
        _ frame: MessageFrame, from peer: DID, limits: MeshLimits, now: ContinuousClock.Instant = .now
    ) -> [String] {
        var dropped: [String] = []
        if entries[peer] == nil {
            while order.count >= max(1, limits.bufferingPeers), let oldest = order.first {
                dropped += take(oldest).map(\.id)
            }
            entries[peer] = Entry(since: now)
            order.append(peer)
        }
        // The relay brings what is not acknowledged again after a reconnect.
        guard !entries[peer]!.frames.contains(where: { $0.id == frame.id }) else { return dropped }
        entries[peer]!.frames.append(frame)
        if entries[peer]!.frames.count > limits.bufferedMessagesPerPeer {
            dropped.append(entries[peer]!.frames.removeFirst().id)
        }
        return dropped
    }

    /// Drops what has waited too long, but nothing of the peers whose KNOCK is being decided.
    ///
    /// - Returns: the ids of frames that were dropped.
    mutating func expire(
        except waiting: (DID) -> Bool, limits: MeshLimits, now: ContinuousClock.Instant = .now
    ) -> [String] {
        order.filter { now - entries[$0]!.since >= limits.bufferLifetime && !waiting($0) }
            .flatMap { take($0).map(\.id) }
    }

    /// Takes out what waits of one peer, in order.
    mutating func take(_ peer: DID) -> [MessageFrame] {
        guard let entry = entries.removeValue(forKey: peer) else { return [] }
        order.removeAll { $0 == peer }
        return entry.frames
    }
}
