import Foundation
import MeshNode
import Observability
import Synchronization
import TestSupport
import Testing
import Transport

@testable import Handoff

struct DirectWayTests {
    private let chunks = [WireBytes([1, 2, 3]), WireBytes([UInt8](repeating: 7, count: 70_000))]

    private func with(
        _ answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse, _ body: (_ url: String, EventLoop) async throws -> Void
    ) async throws {
        let loop = try EventLoop(name: "test")
        var limits = ServerLimits()
        limits.maximumBodyBytes = 8 << 20
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), tls: nil, limits: limits,
            http: { answer($0) })
        try await body("http://\(server.endpoint)", loop)
        await server.close()
        loop.shutdown()
    }

    private func makeSender(_ way: DirectWay, _ loop: EventLoop, isNear: Bool = true) -> DirectSender? {
        DirectSender(way, id: "m1", isNear: isNear, tls: ClientTLS(), loop: loop, logger: .silent)
    }

    private static func sealed(_ bytes: [UInt8]) -> HTTPResponse { HTTPResponse(status: 200, headers: [:], body: .bytes(bytes)) }

    @Test func chunksArriveWholeAndAreConfirmed() async throws {
        let receiver = DirectReceiver(id: "m1")
        let got = Mutex<[[WireBytes]]>([])
        try await with({ request in
            guard DirectWay.move(in: request.path) == "m1", let chunks = receiver.open(request.body) else {
                return .text("", status: 404)
            }
            got.withLock { $0.append(chunks) }
            return Self.sealed(receiver.answer(to: request.body))
        }) { url, loop in
            let sender = try #require(makeSender(receiver.way(at: url + "/what/ever"), loop))
            #expect(await sender.send(chunks))
            #expect(await sender.send([WireBytes([9])]))
            #expect(got.withLock { $0.map { $0.map(\.bytes) } } == [chunks.map(\.bytes), [[9]]])
        }
    }

    @Test(arguments: ["other", "nothing", "refusal", "replayed"])
    func aTakerThatCannotProveWhatItSaysIsLeft(_ lie: String) async throws {
        let (receiver, stranger) = (DirectReceiver(id: "m1"), DirectReceiver(id: "m1"))
        let first = Mutex<[UInt8]?>(nil)
        let count = Atomic(0)
        try await with({ request in
            count.add(1, ordering: .relaxed)
            switch lie {
            case "other": return Self.sealed(stranger.answer(to: request.body))
            case "nothing": return Self.sealed([])
            case "refusal": return .text("no", status: 500)
            default:
                // The answer to the first request, again.
                let answer = first.withLock { first in
                    if first == nil { first = receiver.answer(to: request.body) }
                    return first!
                }
                return Self.sealed(answer)
            }
        }) { url, loop in
            let sender = try #require(makeSender(receiver.way(at: url), loop))
            if lie == "replayed" { #expect(await sender.send(chunks)) }
            #expect(await !sender.send(chunks))
            #expect(!sender.isUsable)
            let before = count.load(ordering: .relaxed)
            #expect(await !sender.send(chunks))
            #expect(count.load(ordering: .relaxed) == before)
        }
    }

    @Test func waysThatLeadNowhereAreNone() async throws {
        let loop = try EventLoop(name: "test")
        defer { loop.shutdown() }
        let key = DirectReceiver(id: "m1").way(at: "").key
        for url in ["", "ftp://h/", "unix:/run/docker.sock", "ws://127.0.0.1:1", "http://user@h/", "http://"] {
            #expect(makeSender(DirectWay(url: url, key: key), loop) == nil, "\(url)")
        }
        #expect(makeSender(DirectWay(url: "http://127.0.0.1:1", key: WireBytes([1])), loop) == nil)
        // This machine's own address is another's only where they share the machine.
        for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
            #expect(makeSender(DirectWay(url: url, key: key), loop, isNear: false) == nil, "\(url)")
            #expect(makeSender(DirectWay(url: url, key: key), loop) != nil)
        }
        // Nobody listens there.
        let nowhere = try #require(makeSender(DirectWay(url: "http://127.0.0.1:1", key: key), loop))
        #expect(await !nowhere.send(chunks))
        #expect(!nowhere.isUsable)
    }

    @Test func whatDoesNotOpenIsCountedAndTheWayCloses() {
        let receiver = DirectReceiver(id: "m1")
        let other = DirectReceiver(id: "m1")
        var random = SeededRandom(seed: 3)
        for _ in 0..<16 { #expect(receiver.open(random.bytes(Int.random(in: 0...200, using: &random))) == nil) }
        // Also for the giver, who then takes the relay.
        let way = receiver.way(at: "http://127.0.0.1:1")
        #expect(way.key.bytes.count == 32 && way.key != other.way(at: "").key)
    }

    @Test func batchesReadBackAndNothingElseDoes() {
        var random = SeededRandom(seed: 8)
        for _ in 0..<200 {
            let batch = (0..<Int.random(in: 0...5, using: &random)).map { _ in
                WireBytes(random.bytes(Int.random(in: 1...2_000, using: &random)))
            }
            let bytes = ChunkBatch.encode(batch)
            #expect(ChunkBatch.decode(bytes) == batch)
            if let read = ChunkBatch.decode(random.mutation(of: bytes)) {
                #expect(read.allSatisfy { (1...Chunker.maximumSize).contains($0.bytes.count) })
            }
            _ = ChunkBatch.decode(random.bytes(Int.random(in: 0...100, using: &random)))
        }
        #expect(ChunkBatch.decode([0, 0, 0, 0]) == nil && ChunkBatch.decode([255, 255, 255, 255]) == nil)
        for path in ["/v1/moves/", "/v1/moves//chunks", "/v1/moves/chunks", "/v1/chunks", "/"] {
            #expect(DirectWay.move(in: path) == nil, "\(path)")
        }
        #expect(DirectWay.move(in: DirectWay.path(of: "abc")) == "abc")
    }
}
