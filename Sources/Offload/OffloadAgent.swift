import FoundationEssentials
import MeshNode
import Sandboxes
import Transport

/// Gives a task to the agent of a sandbox, over the agent's own socket, and hears its answer.
///
/// The request has an id, so that an agent which has answered it already answers the same again: a task that is asked
/// for anew after a crash is not done twice.
struct OffloadAgent: Sendable {
    private static let pause = Duration.milliseconds(250)
    private static let maximumAnswerBytes = 1 << 20
    /// Answers that ask to come again.
    private static let later = [429, 503]

    let services: OffloadServices

    struct Answer: Decodable, Sendable {
        struct Usage: Decodable, Sendable {
            let prompt_tokens: Int
            let completion_tokens: Int
        }

        let reply: String
        let usage: Usage?

        /// Nil where the agent reports none, or nonsense.
        var tokens: OffloadTokens? {
            usage.flatMap { OffloadTokens(prompt: $0.prompt_tokens, completion: $0.completion_tokens) }
        }
    }

    private struct Task: Encodable {
        let message: String
        let conversation = "offload"
        let request_id: String
        let max_tokens: Int
    }

    private struct Refusal: Decodable {
        struct Reason: Decodable { let message: String }
        let error: Reason
    }

    /// Asks until there is an answer, through ends and starts of the agent; the caller cancels it when its time is up.
    func work(on record: OffloadRecord) async throws -> Answer {
        let body = PeerJSON.encode(
            Task(message: record.task, request_id: record.id, max_tokens: record.allowance))
        while true {
            try _Concurrency.Task.checkCancellation()
            guard await services.owns(record) else {
                throw OperationFailure(.failed, "the sandbox is gone")
            }
            let left = max(1, record.deadline.timeIntervalSinceNow)
            if let answer = try await ask(record.sandbox, body, within: .seconds(left + 5)) { return answer }
            try await _Concurrency.Task.sleep(for: Self.pause)
        }
    }

    /// - Returns: nil when it is to be asked again.
    private func ask(_ sandbox: String, _ body: [UInt8], within limit: Duration) async throws -> Answer? {
        let response: HTTPClientResponse
        do {
            let socket = try services.sandboxes.driver.gatewaySocket(of: sandbox)
            response = try await HTTPClient(
                loop: services.loop, timeout: limit, maximumBodyBytes: Self.maximumAnswerBytes
            ).send(
                HTTPClientRequest(
                    method: "POST", url: ServiceURL(unixSocket: socket, target: "/v1/chat"),
                    headers: ["content-type": "application/json"], body: body))
        } catch TransportError.tooLarge {
            throw OperationFailure(.failed, "the agent's answer is more than \(Self.maximumAnswerBytes) bytes")
        } catch {
            try _Concurrency.Task.checkCancellation()
            return nil
        }
        if Self.later.contains(response.status) { return nil }
        guard response.status == 200 else {
            let reason = (try? JSONDecoder().decode(Refusal.self, from: Data(response.body)))?.error.message
            throw OperationFailure(
                .failed, "the agent refused the task: " + (reason ?? "it answered with status \(response.status)"))
        }
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(response.body)) else {
            throw OperationFailure(.failed, "the agent's answer makes no sense")
        }
        return answer
    }
}
