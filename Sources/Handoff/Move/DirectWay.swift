import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Synchronization
import Transport

/// How a giver's chunks reach a taker without the relay, where it can reach the taker's gateway.
///
/// The taker hands address and key over inside the peers' end-to-end session. What passes the network is sealed with
/// that key whatever the connection is, and so is each answer: nobody on the way can read, change or confirm anything.
/// Where it does not work the relay carries the rest.
struct DirectWay: Codable, Sendable {
    /// The taker's gateway, such as `http://127.0.0.1:18789`.
    let url: String
    let key: WireBytes

    /// Bytes of chunks in one request; stays below what a gateway takes.
    static let requestBytes = 2 << 20
    /// What a gateway is asked.
    static let pathPrefix = "/v1/moves/"
    static let pathSuffix = "/chunks"

    static func path(of id: String) -> String { pathPrefix + id + pathSuffix }

    /// The move that a path means.
    static func move(in path: String) -> String? {
        guard path.hasPrefix(pathPrefix), path.hasSuffix(pathSuffix),
            path.utf8.count > pathPrefix.utf8.count + pathSuffix.utf8.count
        else { return nil }
        return String(path.dropFirst(pathPrefix.count).dropLast(pathSuffix.count))
    }

    fileprivate static func label(_ id: String) -> String { "kars move chunks|\(id)" }
    /// Bound to the request by its start, which is random.
    fileprivate static func answerLabel(_ id: String, _ request: [UInt8]) -> String {
        "kars move taken|\(id)|\(Base64.encode(Array(request.prefix(24))))"
    }
}

/// The giver's end.
final class DirectSender: Sendable {
    private let id: String
    private let url: ServiceURL
    private let key: BulkKey
    private let client: HTTPClient
    private let logger: Logger
    private let isBroken = Atomic(false)

    /// - Parameter isNear: whether the peers meet on one machine; an address of this machine's own is used only then,
    ///   since anywhere else it is not the taker's.
    /// - Returns: nil for a way that is none.
    init?(_ way: DirectWay, id: String, isNear: Bool, tls: ClientTLS, loop: EventLoop, logger: Logger) {
        guard let key = BulkKey(way.key.bytes), var url = try? ServiceURL(parsing: way.url),
            case .tcp = url.place, url.scheme == .http || url.scheme == .https, isNear || !url.isLoopback
        else { return nil }
        // Nothing but the place is the taker's choice.
        url.target = DirectWay.path(of: id)
        self.id = id
        self.url = url
        self.key = key
        self.logger = logger
        client = HTTPClient(loop: loop, tls: tls, timeout: .seconds(20), maximumBodyBytes: 4096)
    }

    /// Whether it has worked so far.
    var isUsable: Bool { !isBroken.load(ordering: .relaxed) }

    /// Sends chunks.
    ///
    /// - Returns: whether the taker has them; false once the way is broken, for good.
    func send(_ chunks: [WireBytes]) async -> Bool {
        guard isUsable else { return false }
        let box = key.seal(ChunkBatch.encode(chunks), label: DirectWay.label(id))
        do {
            let answer = try await client.send(HTTPClientRequest(
                method: "POST", url: url, headers: ["content-type": "application/octet-stream"], body: box))
            if answer.status == 200, key.open(answer.body, label: DirectWay.answerLabel(id, box)) != nil { return true }
            if !isBroken.exchange(true, ordering: .relaxed) {
                logger.info("the relay carries the rest of a move", ["move": id, "status": answer.status])
            }
        } catch {
            if !isBroken.exchange(true, ordering: .relaxed) {
                logger.info("the relay carries the rest of a move", ["move": id, "reason": "\(error)"])
            }
        }
        return false
    }
}

/// The taker's end.
final class DirectReceiver: Sendable {
    /// Boxes that do not open before the way is closed; somebody else is trying.
    private static let maximumFaults = 16

    private let id: String
    private let key = BulkKey()
    private let faults = Atomic(0)

    init(id: String) { self.id = id }

    func way(at url: String) -> DirectWay { DirectWay(url: url, key: WireBytes(key.bytes)) }

    /// What a request brings; nil for one that is not the giver's.
    func open(_ box: [UInt8]) -> [WireBytes]? {
        guard faults.load(ordering: .relaxed) < Self.maximumFaults else { return nil }
        guard let content = key.open(box, label: DirectWay.label(id)), let chunks = ChunkBatch.decode(content) else {
            faults.add(1, ordering: .relaxed)
            return nil
        }
        return chunks
    }

    /// The word that what a request brought is kept.
    func answer(to box: [UInt8]) -> [UInt8] { key.seal([], label: DirectWay.answerLabel(id, box)) }
}

/// Chunks in one piece: each after its length in four bytes, most significant first.
enum ChunkBatch {
    static func encode(_ chunks: [WireBytes]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(chunks.reduce(0) { $0 + 4 + $1.bytes.count })
        for chunk in chunks {
            let count = UInt32(chunk.bytes.count)
            for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
            bytes += chunk.bytes
        }
        return bytes
    }

    /// Nil for what ``encode(_:)`` does not make.
    static func decode(_ bytes: [UInt8]) -> [WireBytes]? {
        var chunks: [WireBytes] = []
        var offset = 0
        while offset < bytes.count {
            guard bytes.count - offset >= 4 else { return nil }
            let count = bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
            offset += 4
            guard count > 0, count <= Chunker.maximumSize, bytes.count - offset >= count else { return nil }
            chunks.append(WireBytes(Array(bytes[offset..<offset + count])))
            offset += count
        }
        return chunks
    }
}
