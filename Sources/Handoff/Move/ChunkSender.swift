import FoundationEssentials
import MeshNode

/// Sends the chunks a taker lacks, several messages at a time.
struct ChunkSender: Sendable {
    /// Messages under way at one time; enough to keep relay and disk busy, few enough to stay small in memory.
    private static let window = 6
    /// Bytes of chunks in one message; doubled by two layers of base64 it stays below the relay's frame limit.
    private static let messageBytes = 256 << 10
    private static let listedChunks = 4_096

    let id: String
    let peer: PeerIdentity
    let calls: MeshCalls
    let meter: TransferMeter
    /// The way without the relay, where there is one.
    var direct: DirectSender?

    /// - Parameters:
    ///   - isExact: a chunk that cannot be read any more is an error. While the agent runs, the next round
    ///     brings what replaced it.
    ///   - check: throws when the move is to end.
    /// - Returns: bytes sent, and the chunks that could not be read any more.
    func sendMissing(
        from reader: ChunkReader, isExact: Bool, check: @escaping @Sendable () async throws -> Void
    ) async throws -> (bytes: Int, skipped: Set<ChunkID>) {
        var sent = 0
        var skipped: Set<ChunkID> = []
        var done: Set<ChunkID> = []
        while true {
            try await check()
            let listed = try await calls.call(ListMissing(id: id, limit: Self.listedChunks), of: peer)
            let missing = try Self.ids(listed.chunks.bytes).filter { !skipped.contains($0) }
            guard !missing.isEmpty else { return (sent, skipped) }
            // A taker that has lost what it was sent, or says so, would be served for ever.
            guard done.isDisjoint(with: missing) else {
                throw OperationFailure(.failed, "the taker asks again for chunks it was sent")
            }
            done.formUnion(missing)
            let (bytes, unreadable) = try await send(missing, from: reader, isExact: isExact)
            sent += bytes
            skipped.formUnion(unreadable)
        }
    }

    /// - Returns: bytes sent, and what could not be read any more.
    @discardableResult
    func send(
        _ ids: [ChunkID], from reader: ChunkReader, isExact: Bool
    ) async throws -> (bytes: Int, unreadable: [ChunkID]) {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var underWay = 0
            var sent = 0
            var unreadable: [ChunkID] = []
            var batch: [WireBytes] = []
            var batchBytes = 0
            func flush() async throws {
                guard !batch.isEmpty else { return }
                if underWay == Self.window {
                    try await group.next()
                    underWay -= 1
                }
                let (chunks, bytes) = (batch, batchBytes)
                group.addTask {
                    try await deliver(chunks)
                    meter.sent(bytes)
                }
                underWay += 1
                batch = []
                batchBytes = 0
            }
            meter.mustSend(ids.reduce(0) { $0 + (reader.length(of: $1) ?? 0) })
            for id in ids {
                let chunk: [UInt8]
                do {
                    chunk = try await DiskWork.run { try reader.readChunk(id) }
                } catch WorkspaceError.changedDuringRead where !isExact {
                    unreadable.append(id)
                    continue
                }
                let limit = direct?.isUsable == true ? DirectWay.requestBytes : Self.messageBytes
                if batchBytes + chunk.count > limit { try await flush() }
                batch.append(WireBytes(chunk))
                batchBytes += chunk.count
                sent += chunk.count
            }
            try await flush()
            try await group.waitForAll()
            return (sent, unreadable)
        }
    }

    private func deliver(_ chunks: [WireBytes]) async throws {
        if let direct, await direct.send(chunks) { return }
        // What was gathered for one request may be too much for one message.
        var rest = chunks[...]
        while !rest.isEmpty {
            var bytes = 0
            let part = rest.prefix { chunk in
                bytes += chunk.bytes.count
                return bytes <= Self.messageBytes
            }
            // A chunk is never larger than a message.
            let message = part.isEmpty ? rest.prefix(1) : part
            _ = try await calls.call(SendChunks(id: id, chunks: Array(message)), of: peer)
            rest = rest.dropFirst(message.count)
        }
    }

    private static func ids(_ bytes: [UInt8]) throws -> [ChunkID] {
        guard bytes.count % ChunkID.byteCount == 0 else {
            throw OperationFailure(.failed, "the taker's list of chunks makes no sense")
        }
        return stride(from: 0, to: bytes.count, by: ChunkID.byteCount).compactMap {
            ChunkID(bytes: bytes[$0..<$0 + ChunkID.byteCount])
        }
    }
}
