import CommandTree
import FoundationEssentials
import Glibc
import MeshIdentity
import MeshNode
import Transport

/// A conversation with an agent, line by line.
struct TerminalChat: Sendable {
    /// How long a turn is tried again while the agent moves or starts anew.
    private static let patience = Duration.seconds(60)
    private static let pause = Duration.milliseconds(300)

    private struct Answer: Decodable { let reply: String }
    private struct Refusal: Decodable {
        struct Reason: Decodable { let message: String }
        let message: String

        init(from decoder: any Decoder) throws {
            enum Key: CodingKey { case error }
            let object = try decoder.container(keyedBy: Key.self)
            if let text = try? object.decode(String.self, forKey: .error) { message = text } else {
                message = try object.decode(Reason.self, forKey: .error).message
            }
        }
    }

    let door: AgentDoorway

    /// Until the end of standard input. Replies go to standard output, the prompt to standard error.
    func run() async throws {
        let loop = try EventLoop(name: "chat")
        defer { loop.shutdown() }
        let client = HTTPClient(loop: loop, tls: door.tls, timeout: .seconds(120), maximumBodyBytes: 4 << 20)
        if Console.isInteractive { Console.complain("Type a message and Enter; Ctrl-D ends.") }
        while true {
            if Console.isInteractive { Console.prompt("you> ") }
            guard let line = readLine() else { break }
            let message = line.trimmingWhitespace
            guard !message.isEmpty else { continue }
            let reply = try await say(message, client)
            // What an agent says must not drive the terminal; a file gets it as it is. Its line breaks are fine.
            let isTerminal = isatty(STDOUT_FILENO) == 1
            let shown = isTerminal
                ? reply.split(separator: "\n", omittingEmptySubsequences: false).map { PrintableText.escaped(String($0)) }
                    .joined(separator: "\n")
                : reply
            try Console.line(Console.isInteractive && isTerminal ? "\(door.agent)> \(shown)" : shown)
        }
        if Console.isInteractive { Console.complain("") }
    }

    /// One turn. Until it is answered it is the same request, which the agent runs once.
    private func say(_ message: String, _ client: HTTPClient) async throws -> String {
        struct Turn: Encodable { let message, request_id: String }
        let request = HTTPClientRequest(
            method: "POST", url: door.url.appending(path: "/v1/chat"),
            headers: ["authorization": "Bearer \(door.token)", "content-type": "application/json"],
            body: PeerJSON.encode(Turn(message: message, request_id: "cli-" + FrameID.make())))
        let deadline = ContinuousClock.now + Self.patience
        while true {
            var failure: OperationFailure
            do {
                let answer = try await client.send(request)
                if answer.status == 200 {
                    guard let turn = try? JSONDecoder().decode(Answer.self, from: Data(answer.body)) else {
                        throw OperationFailure(.failed, "\(door.agent) answers in a way this chat does not know")
                    }
                    return turn.reply
                }
                let reason = (try? JSONDecoder().decode(Refusal.self, from: Data(answer.body)))?.message
                failure = OperationFailure(
                    .refused, "\(door.agent) did not answer: \(reason ?? "status \(answer.status)")")
                guard answer.status == 502 || answer.status == 503 else { throw failure }
            } catch let error as TransportError {
                failure = OperationFailure(.unavailable, "the gateway does not answer: \(error)")
            }
            guard ContinuousClock.now < deadline else { throw failure }
            try await Task.sleep(for: Self.pause)
        }
    }
}
