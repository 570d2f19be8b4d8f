import Foundation
import MeshIdentity
import MeshNode
import Observability
import Synchronization
import TestSupport
import Transport

@testable import Handoff

/// A gate behind a real server, with an agent on a Unix socket.
final class GateWorld: Sendable {
    static let agent = "demo"
    static let token = "the-token"

    let gate: Gate
    let loop: EventLoop
    let stub: StubAgent
    let client: HTTPClient
    private let server: Server
    let forwarded: ForwardLog

    /// What the gate asked other peers.
    final class ForwardLog: Sendable {
        let requests = Mutex<[ForwardRequest]>([])
        let answer = Mutex<@Sendable (ForwardRequest) throws -> ForwardRequest.Answer>({ _ in
            ForwardRequest.Answer(status: 200, contentType: "text/plain", body: Array("from afar".utf8))
        })
    }

    private init(gate: Gate, loop: EventLoop, stub: StubAgent, server: Server, forwarded: ForwardLog) {
        self.gate = gate
        self.loop = loop
        self.stub = stub
        self.server = server
        self.forwarded = forwarded
        client = HTTPClient(loop: loop)
    }

    static func run(limits: GateLimits = GateLimits(), _ body: (GateWorld) async throws -> Void) async throws {
        let loop = try EventLoop(name: "gate")
        let folder = TemporaryFolder()
        let stub = StubAgent()
        let agent = try await Server(
            loops: [loop], endpoint: .unix(path: folder.file("agent")), customHeaders: [Gate.requestIDHeader],
            http: { await stub.answer($0) })
        let log = ForwardLog()
        let gate = Gate(loop: loop, limits: limits, logger: .silent, metrics: Metrics()) { peer, request in
            log.requests.withLock { $0.append(request) }
            return try log.answer.withLock { $0 }(request)
        }
        var serverLimits = ServerLimits()
        serverLimits.maximumBodyBytes = 8 << 20
        let server = try await Server(
            loops: [loop], endpoint: .tcp(host: "127.0.0.1", port: 0), limits: serverLimits,
            customHeaders: [Gate.requestIDHeader], http: { await gate.handle($0) })
        let world = GateWorld(gate: gate, loop: loop, stub: stub, server: server, forwarded: log)
        stub.socket.withLock { $0 = folder.file("agent") }
        gate.open(Self.agent, token: Self.token, route: .local(socket: folder.file("agent")))
        var failure: (any Error)?
        do { try await body(world) } catch { failure = error }
        gate.remove(Self.agent)
        stub.openAll()
        await server.close()
        await agent.close()
        loop.shutdown()
        withExtendedLifetime(folder) {}
        if let failure { throw failure }
    }

    func request(
        _ path: String, method: String = "GET", token: String? = GateWorld.token, body: [UInt8] = [],
        headers: HTTPHeaders = [:]
    ) throws -> HTTPClientRequest {
        var headers = headers
        if let token { headers["authorization"] = "Bearer \(token)" }
        return HTTPClientRequest(
            method: method, url: try ServiceURL(parsing: "http://\(server.endpoint)\(path)"), headers: headers,
            body: body)
    }

    func send(
        _ path: String, method: String = "GET", token: String? = GateWorld.token, body: [UInt8] = [],
        headers: HTTPHeaders = [:]
    ) async throws -> HTTPClientResponse {
        try await client.send(try request(path, method: method, token: token, body: body, headers: headers))
    }

    var heldCount: Int { gate.heldCount(Self.agent) }
    func hold() async -> Bool { await gate.hold(Self.agent) }
    func release() { gate.release(Self.agent, to: .local(socket: stub.socket.withLock { $0 })) }
    func route(to route: AgentRoute) { gate.release(Self.agent, to: route) }
}

/// An agent that records what comes and answers as its path says.
final class StubAgent: Sendable {
    struct Seen: Sendable {
        let method: String
        let target: String
        let headers: HTTPHeaders
        let body: [UInt8]
    }

    let socket = Mutex("")
    let seen = Mutex<[Seen]>([])
    private let held = Mutex<(waiting: [CheckedContinuation<Void, Never>], isOpen: Bool)>(([], false))

    var targets: [String] { seen.withLock { $0.map(\.target) } }
    var heldCount: Int { held.withLock { $0.waiting.count } }

    /// Ends what `/slow` and `/stream` wait for, now and later.
    func openAll() {
        let waiting = held.withLock { held in
            held.isOpen = true
            defer { held.waiting = [] }
            return held.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    private func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = held.withLock { held in
                if !held.isOpen { held.waiting.append(continuation) }
                return held.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let target = request.path + (request.query.map { "?" + $0 } ?? "")
        seen.withLock {
            $0.append(Seen(method: request.method, target: target, headers: request.headers, body: request.body))
        }
        switch request.path {
        case "/slow":
            await wait()
            return .text("slow")
        case "/stream":
            return HTTPResponse(
                status: 200, headers: ["content-type": "text/event-stream"],
                body: .stream { writer in
                    try await writer.write(Array("first".utf8))
                    await self.wait()
                    try await writer.write(Array(" last".utf8))
                })
        case "/nothing": return HTTPResponse(status: 204)
        case "/missing": return .text("no such thing", status: 404)
        case "/large": return .bytes([UInt8](repeating: 0x61, count: 3 << 20))
        case "/broken":
            struct Broken: Error {}
            return HTTPResponse(
                status: 200,
                body: .stream { writer in
                    try await writer.write(Array("half".utf8))
                    throw Broken()
                })
        default: return .bytes(request.body, contentType: "text/plain")
        }
    }
}
