import Foundation
import MeshNode
import Synchronization
import Transport

/// A client that talks to one agent through one gate and never stops: each answer must show what it said before.
///
/// It asks again, with the same `request_id`, only when its node was killed while it waited, or when the gate said
/// "later" (503).
final class Chatter: Sendable {
    struct Fault: Error, CustomStringConvertible { let description: String }

    private struct Reply: Decodable {
        struct Remembered: Decodable { let previous: String? }
        let remembered: Remembered
    }

    private let gateway: String
    private let tokenFile: String
    private let conversation: String
    private let client: HTTPClient
    private let namesRequests: Bool
    /// How often the node behind the gate was killed.
    private let kills = Atomic<Int>(0)
    private let isDown = Atomic<Bool>(false)
    private let isStopping = Atomic<Bool>(false)
    private let count = Atomic<Int>(0)
    private let refusals = Atomic<Int>(0)

    /// - Parameter namesRequests: whether its requests have a `request_id`; without, it must be let alone by kills.
    init(gateway: String, tokenFile: String, conversation: String, loop: EventLoop, namesRequests: Bool = true) {
        self.namesRequests = namesRequests
        self.gateway = gateway
        self.tokenFile = tokenFile
        self.conversation = conversation
        client = HTTPClient(loop: loop, timeout: .seconds(100))
    }

    /// Turns that were answered.
    var turns: Int { count.load(ordering: .relaxed) }
    /// Times the gate said "later".
    var postponed: Int { refusals.load(ordering: .relaxed) }

    func noteKill() {
        isDown.store(true, ordering: .sequentiallyConsistent)
        kills.add(1, ordering: .sequentiallyConsistent)
    }
    func noteRestart() { isDown.store(false, ordering: .sequentiallyConsistent) }
    func stop() { isStopping.store(true, ordering: .relaxed) }

    /// Talks until it is stopped; throws at the first answer that is wrong or missing.
    func run() async throws {
        var previous: String?
        while !isStopping.load(ordering: .relaxed) {
            let message = "\(conversation)-\(turns + 1)"
            let reply = try await answer(to: message)
            guard reply.remembered.previous == previous else {
                throw Fault(
                    description: "\(message): the agent remembers \(reply.remembered.previous ?? "nothing")")
            }
            previous = message
            count.add(1, ordering: .relaxed)
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    private func answer(to message: String) async throws -> Reply {
        let deadline = ContinuousClock.now + .seconds(200)
        while true {
            let killsBefore = kills.load(ordering: .sequentiallyConsistent)
            let wasDown = isDown.load(ordering: .sequentiallyConsistent)
            do {
                let response = try await ask(message)
                switch response.status {
                case 200: return try JSONDecoder().decode(Reply.self, from: Data(response.body))
                case 503: refusals.add(1, ordering: .relaxed)
                default:
                    throw Fault(
                        description: "\(message): \(response.status) \(String(decoding: response.body, as: UTF8.self))")
                }
            } catch let error as TransportError {
                guard wasDown || kills.load(ordering: .sequentiallyConsistent) != killsBefore else {
                    throw Fault(description: "\(message): \(error)")
                }
            }
            guard ContinuousClock.now < deadline else { throw Fault(description: "\(message): no answer at all") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func ask(_ message: String) async throws -> HTTPClientResponse {
        let token = try String(contentsOfFile: tokenFile, encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        return try await client.send(
            HTTPClientRequest(
                method: "POST", url: try ServiceURL(parsing: "http://\(gateway)/agents/a/v1/chat"),
                headers: ["authorization": "Bearer \(token)", "content-type": "application/json"],
                body: Array(
                    try JSONEncoder().encode(
                        ["message": message, "conversation": conversation].merging(
                            namesRequests ? ["request_id": message] : [:]) { $1 }))))
    }
}
