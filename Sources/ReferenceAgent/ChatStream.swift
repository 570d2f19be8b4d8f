import FoundationEssentials
import Synchronization
import Transport

/// One client of `GET /v1/stream`: each text message is a chat request, answered by a few `delta` messages
/// and a `done` in the order of the requests.
final class ChatStream: WebSocketDelegate {
    private let memory: AgentMemory
    private let limits: AgentLimits
    /// Turns asked for and not answered yet.
    private let waiting = Atomic<Int>(0)

    init(memory: AgentMemory, limits: AgentLimits) {
        self.memory = memory
        self.limits = limits
    }

    private struct Delta: Encodable {
        let type = "delta"
        let text: String
    }

    private struct Done: Encodable {
        let answer: ChatAnswer
        private enum Key: CodingKey { case type }

        func encode(to encoder: any Encoder) throws {
            try answer.encode(to: encoder)
            var values = encoder.container(keyedBy: Key.self)
            try values.encode("done", forKey: .type)
        }
    }

    private struct Refusal: Encodable {
        let type = "error"
        let error: AgentRoutes.Failure.Reason
    }

    func webSocketDidOpen(_ socket: WebSocket) {}
    func webSocketDidClose(_ socket: WebSocket, code: Int, reason: String) {}

    func webSocket(_ socket: WebSocket, didReceive message: UnsafeRawBufferPointer, isText: Bool) {
        do throws(AgentError) {
            guard isText else { throw .invalidRequest(reason: "a chat request is a text message") }
            let request = try ChatRequest(parsing: Array(message), limits: limits)
            guard waiting.load(ordering: .relaxed) < limits.maximumWaitingPerStream else { throw .busy }
            waiting.add(1, ordering: .relaxed)
            memory.submit(request) { [self] answer in
                waiting.subtract(1, ordering: .relaxed)
                reply(answer, on: socket)
            }
        } catch { reply(.failure(error), on: socket) }
    }

    /// Any thread; the socket keeps the order.
    private func reply(_ answer: Result<ChatAnswer, AgentError>, on socket: WebSocket) {
        switch answer {
        case .failure(let error): send(Refusal(error: AgentRoutes.Failure(error).error), on: socket)
        case .success(let answer):
            for piece in Self.pieces(of: answer.reply) { send(Delta(text: piece), on: socket) }
            send(Done(answer: answer), on: socket)
        }
    }

    /// At most four pieces, split between characters; together they are the text.
    static func pieces(of text: String) -> [String] {
        let size = max(16, (text.count + 3) / 4)
        var pieces: [String] = []
        var rest = text[...]
        while !rest.isEmpty {
            pieces.append(String(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        return pieces
    }

    private func send(_ value: some Encodable, on socket: WebSocket) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { preconditionFailure("answers are always JSON") }
        socket.send(Array(data))
    }
}
