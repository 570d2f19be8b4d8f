import FoundationEssentials
import Transport

/// Says one thing to the agent.
struct ChatCall: Sendable {
    /// Why there was no answer.
    struct Failure: Error {
        let reason: String
    }

    private struct Body: Encodable {
        let message: String
        let conversation: String
        let request_id: String
    }

    private struct Refusal: Decodable {
        struct Reason: Decodable { let code: String }
        let error: Reason
    }

    private let client: HTTPClient
    private let url: ServiceURL
    private var headers: HTTPHeaders = ["content-type": "application/json"]

    init(_ plan: LoadPlan, loop: EventLoop) {
        client = HTTPClient(loop: loop, tls: plan.tls, timeout: plan.timeout)
        url = plan.url
        if let token = plan.token { headers["authorization"] = "Bearer \(token)" }
    }

    func say(
        _ message: String, in conversation: String, requestID: String
    ) async -> Result<ChatAnswer, Failure> {
        let response: HTTPClientResponse
        do {
            let body = Body(message: message, conversation: conversation, request_id: requestID)
            response = try await client.send(
                HTTPClientRequest(
                    method: "POST", url: url, headers: headers, body: [UInt8](try JSONEncoder().encode(body))))
        } catch {
            return .failure(Failure(reason: "\(error)"))
        }
        let data = Data(response.body)
        guard response.status == 200 else {
            let code = try? JSONDecoder().decode(Refusal.self, from: data).error.code
            return .failure(Failure(reason: "status \(response.status)" + (code.map { " \($0)" } ?? "")))
        }
        guard let answer = try? JSONDecoder().decode(ChatAnswer.self, from: data) else {
            return .failure(Failure(reason: "the answer is not one of the reference agent"))
        }
        return .success(answer)
    }
}
