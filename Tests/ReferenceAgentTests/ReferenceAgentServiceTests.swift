import Foundation
import Observability
import Synchronization
import TestSupport
import Testing
import Transport

@testable import ReferenceAgent

/// A served agent and a client of it.
struct Agent {
    let service: ReferenceAgentService
    let url: ServiceURL
    let loop: EventLoop
    let client: HTTPClient

    static func with(
        _ folder: TemporaryFolder, limits: AgentLimits = AgentLimits(), _ body: (Agent) async throws -> Void
    ) async throws {
        let service = try ReferenceAgentService(
            configuration: AgentConfiguration(
                listen: .tcp(host: "127.0.0.1", port: 0), workspace: folder.file("w"), limits: limits),
            logger: .silent)
        let endpoint = try await service.start()
        let loop = try EventLoop(name: "client")
        let result: Result<Void, any Error>
        do {
            let agent = try Agent(
                service: service, url: ServiceURL(parsing: "http://\(endpoint)"), loop: loop,
                client: HTTPClient(loop: loop))
            result = .success(try await body(agent))
        } catch { result = .failure(error) }
        await service.stop()
        loop.shutdown()
        try result.get()
    }

    func get(_ path: String) async throws -> HTTPClientResponse {
        try await client.send(HTTPClientRequest(url: url.appending(path: path)))
    }

    func post(_ path: String, _ body: String = "") async throws -> HTTPClientResponse {
        try await client.send(
            HTTPClientRequest(method: "POST", url: url.appending(path: path), body: Array(body.utf8)))
    }

    func chat(_ message: String, id: String? = nil) async throws -> ChatAnswer {
        let identity = id.map { #","request_id":"\#($0)""# } ?? ""
        let response = try await post("/v1/chat", #"{"message":"\#(message)"\#(identity)}"#)
        #expect(response.status == 200)
        return try JSONDecoder().decode(ChatAnswer.self, from: Data(response.body))
    }

    func state() async throws -> AgentState {
        try await JSONDecoder().decode(AgentState.self, from: Data(get("/v1/state").body))
    }
}

/// Collects what a stream says.
private final class Listener: WebSocketDelegate {
    let messages = Mutex<[String]>([])

    func webSocketDidOpen(_ socket: WebSocket) {}
    func webSocketDidDrain(_ socket: WebSocket) {}
    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {}
    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        messages.withLock { $0.append(String(decoding: message, as: UTF8.self)) }
    }
}

@Test func aClientChatsAndTheAgentRemembersAcrossRestarts() async throws {
    let folder = TemporaryFolder()
    var state: AgentState?
    try await Agent.with(folder) { (agent) async throws in
        #expect(try await agent.get("/healthz").status == 200)
        #expect(try await agent.chat("hello", id: "r1").remembered == .init(previous: nil, turns: 1))
        let second = try await agent.chat("again", id: "r2")
        #expect(second.remembered == .init(previous: "hello", turns: 2))
        #expect(try await agent.chat("again", id: "r2") == second)
        state = try await agent.state()
        #expect(state?.digest == second.digest)
    }
    try await Agent.with(folder) { (agent) async throws in
        #expect(try await agent.state() == state)
        #expect(try await agent.chat("recall 1").reply == "hello")
        let page = try await agent.get("/v1/conversations/main?offset=1&limit=1")
        let text = String(decoding: page.body, as: UTF8.self)
        #expect(text.contains(#""message":"again""#) && text.contains(#""total":3"#))
    }
}

@Test func aRequestThatAGateSendsTwiceIsOneTurn() async throws {
    try await Agent.with(TemporaryFolder()) { (agent) async throws in
        func chat(_ name: String) async throws -> [UInt8] {
            try await agent.client.send(
                HTTPClientRequest(
                    method: "POST", url: agent.url.appending(path: "/v1/chat"), headers: ["Kars-Request-ID": name],
                    body: Array(#"{"message":"hello"}"#.utf8))
            ).body
        }
        let first = try await chat("one")
        #expect(try await chat("one") == first)
        #expect(try await chat("two") != first)
        #expect(try await agent.state().turns == 2)
    }
}

@Test func anAbsentPreviousMessageIsNullAndNotMissing() async throws {
    try await Agent.with(TemporaryFolder()) { (agent) async throws in
        let response = try await agent.post("/v1/chat", #"{"message":"hello"}"#)
        #expect(String(decoding: response.body, as: UTF8.self).contains(#""previous":null"#))
    }
}

@Test func aHundredConcurrentClientsLoseNoTurnAndShareOneOrder() async throws {
    let folder = TemporaryFolder()
    try await Agent.with(folder) { (agent) async throws in
        let answers = try await withThrowingTaskGroup(of: ChatAnswer.self) { group in
            for number in 0..<100 { group.addTask { try await agent.chat("turn \(number)") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(answers.map(\.turn)) == Set(1...100))
        #expect(Set(answers.map(\.digest)).count == 100)
        let listed = try await agent.get("/v1/conversations/main")
        struct Page: Decodable { let turns: [ListedTurn] }
        let turns = try JSONDecoder().decode(Page.self, from: Data(listed.body)).turns
        #expect(Set(turns.map(\.message)) == Set((0..<100).map { "turn \($0)" }))
        for answer in answers where answer.turn > 1 {
            #expect(answer.remembered.previous == turns[answer.turn - 2].message)
        }
        #expect(try await agent.state().digest == answers.first { $0.turn == 100 }?.digest)
    }
}

@Test func aFrozenAgentSaysSoAndGoesOnWhenThawed() async throws {
    try await Agent.with(TemporaryFolder()) { (agent) async throws in
        let before = try await agent.chat("one")
        let frozen = try await agent.post("/v1/freeze")
        let state = try JSONDecoder().decode(AgentState.self, from: Data(frozen.body))
        #expect(frozen.status == 200 && state.digest == before.digest && state.turns == 1)
        let refused = try await agent.post("/v1/chat", #"{"message":"two"}"#)
        #expect(refused.status == 503 && refused.headers["Retry-After"] == "1")
        #expect(String(decoding: refused.body, as: UTF8.self).contains(#""code":"frozen""#))
        #expect(try await agent.state() == state)
        #expect(try await agent.post("/v1/thaw").status == 200)
        #expect(try await agent.chat("two").turn == 2)
    }
}

@Test func aStreamAnswersInPiecesAndInOrder() async throws {
    try await Agent.with(TemporaryFolder()) { (agent) async throws in
        let listener = Listener()
        var url = agent.url.appending(path: "/v1/stream")
        url.scheme = .ws
        let socket = try await WebSocketClient.connect(to: url, on: agent.loop, delegate: listener)
        for number in 1...20 { socket.send(Array(#"{"message":"turn \#(number)"}"#.utf8)) }
        socket.send(Array("nonsense".utf8))
        struct Piece: Decodable {
            let type: String
            let text: String?
            let turn: Int?
            let reply: String?
        }
        var pieces: [Piece] = []
        try await waitUntil("21 answers") {
            pieces = try listener.messages.withLock { $0 }.map {
                try JSONDecoder().decode(Piece.self, from: Data($0.utf8))
            }
            return pieces.filter { $0.type != "delta" }.count == 21
        }
        socket.close(code: 1000)
        let done = pieces.filter { $0.type == "done" }
        #expect(done.map(\.turn) == Array(1...20))
        #expect(pieces.contains { $0.type == "error" })
        let spoken = pieces.compactMap(\.text).joined()
        #expect(spoken == done.compactMap(\.reply).joined())
        let other = await #expect(throws: TransportError.self) {
            var wrong = agent.url.appending(path: "/v1/other")
            wrong.scheme = .ws
            _ = try await WebSocketClient.connect(to: wrong, on: agent.loop, delegate: Listener())
        }
        #expect(other != nil)
    }
}

@Test func whatAClientGetsWrongIsNamed() async throws {
    try await Agent.with(TemporaryFolder()) { (agent) async throws in
        #expect(try await agent.post("/v1/chat", "{").status == 400)
        let long = String(repeating: "x", count: (64 << 10) + 1)
        #expect(try await agent.post("/v1/chat", #"{"message":"\#(long)"}"#).status == 413)
        #expect(try await agent.get("/v1/chat").status == 405)
        #expect(try await agent.get("/nowhere").status == 404)
        #expect(try await agent.get("/v1/conversations/a%2Fb").status == 400)
        #expect(try await agent.get("/v1/conversations/main?limit=101").status == 400)
        #expect(try await agent.state().turns == 0)
    }
}

/// The answers clients have seen, by message.
private final class Seen: Sendable {
    let answers = Mutex<[String: ChatAnswer]>([:])
}

@Test func killNineLosesNoAnsweredTurn() async throws {
    let folder = TemporaryFolder()
    let workspace = folder.file("w")
    let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8)
    let bundle = try #require(maps.split(separator: "\n").first { $0.hasSuffix(".xctest") })
    let kars = URL(fileURLWithPath: String(bundle[bundle.firstIndex(of: "/")!...]))
        .deletingLastPathComponent().appendingPathComponent("kars").path
    let process = try ChildProcess(kars, ["agent", "--listen", "127.0.0.1:0", "--workspace", workspace])
    let address = try await process.line(startingWith: "listening http://")
    let loop = try EventLoop(name: "client")
    defer { loop.shutdown() }
    let url = try ServiceURL(parsing: "http://\(address)/v1/chat")
    let client = HTTPClient(loop: loop)
    let seen = Seen()
    await withTaskGroup(of: Void.self) { group in
        for writer in 0..<8 {
            group.addTask {
                for number in 0... {
                    let message = "w\(writer) n\(number)"
                    let request = HTTPClientRequest(
                        method: "POST", url: url, body: Array(#"{"message":"\#(message)"}"#.utf8))
                    guard let response = try? await client.send(request), response.status == 200,
                        let answer = try? JSONDecoder().decode(ChatAnswer.self, from: Data(response.body))
                    else { return }
                    let count = seen.answers.withLock {
                        $0[message] = answer
                        return $0.count
                    }
                    if count == 200 { process.signal(SIGKILL) }
                }
            }
        }
    }
    _ = await process.wait()
    let memory = try AgentMemory(workspace: workspace, limits: AgentLimits(), logger: .silent)
    let answers = seen.answers.withLock { $0 }
    #expect(answers.count >= 200 && memory.state.turns >= answers.count)
    for (message, answer) in answers {
        #expect(try memory.list("main", offset: answer.turn - 1, limit: 1).get().first?.message == message)
    }
}
