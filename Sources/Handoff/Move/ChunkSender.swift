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
        try await withThrowingTaskGroup(of: (bytes: Int, unreadable: [ChunkID]).self) { group in
            var (underWay, sent) = (0, 0)
            var unreadable: [ChunkID] = []
            func takeResult() async throws {
                guard let done = try await group.next() else { return }
                underWay -= 1
                sent += done.bytes
                unreadable += done.unreadable
            }
            meter.mustSend(ids.reduce(0) { $0 + (reader.length(of: $1) ?? 0) })
            var rest = ids[...]
            while !rest.isEmpty {
                let limit = direct?.isUsable == true ? DirectWay.requestBytes : Self.messageBytes
                var bytes = 0
                let batch = rest.prefix { id in
                    bytes += reader.length(of: id) ?? 0
                    return bytes <= limit
                }
                let part = batch.isEmpty ? rest.prefix(1) : batch
                rest = rest.dropFirst(part.count)
                if underWay == Self.window { try await takeResult() }
                // Each reads for itself, so that one is read and hashed while others are on their way.
                group.addTask { try await readAndDeliver(Array(part), from: reader, isExact: isExact) }
                underWay += 1
            }
            while underWay > 0 { try await takeResult() }
            return (sent, unreadable)
        }
    }

    private func readAndDeliver(
        _ ids: [ChunkID], from reader: ChunkReader, isExact: Bool
    ) async throws -> (bytes: Int, unreadable: [ChunkID]) {
        let (chunks, unreadable) = try await DiskWork.run {
            var chunks: [WireBytes] = [], unreadable: [ChunkID] = []
            for id in ids {
                do { chunks.append(WireBytes(try reader.readChunk(id))) } catch WorkspaceError.changedDuringRead
                where !isExact {
                    unreadable.append(id)
                }
            }
            return (chunks, unreadable)
        }
        let bytes = chunks.reduce(0) { $0 + $1.bytes.count }
        if !chunks.isEmpty { try await deliver(chunks) }
        meter.sent(bytes)
        return (bytes, unreadable)
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
