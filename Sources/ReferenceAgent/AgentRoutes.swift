import Transport

/// The HTTP face of the agent.
struct AgentRoutes: Sendable {
    let memory: AgentMemory
    let limits: AgentLimits
    /// Where `incoming` and `outgoing` are.
    let folder: String

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        let conversations = "/v1/conversations/"
        switch (request.method, request.path) {
        case ("GET", "/healthz"): return .text("ok\n")
        case ("GET", "/v1/state"): return .json(memory.state)
        case ("POST", "/v1/chat"):
            do throws(AgentError) {
                var chat = try ChatRequest(
                    parsing: request.body, gateID: request.headers[ChatRequest.gateHeader], limits: limits)
                if let errand = Errand(chat.message), !(chat.requestID.map(memory.hasAnswered) ?? false) {
                    chat.outcome = try await errand.carryOut(in: folder)
                }
                return try await .json(memory.chat(chat).get())
            } catch { return Self.failure(error) }
        case ("POST", "/v1/freeze"): return Self.response(await memory.freeze())
        case ("POST", "/v1/thaw"):
            memory.thaw()
            return .json(memory.state)
        case ("GET", let path) where path.hasPrefix(conversations):
            return list(String(path.dropFirst(conversations.count)), request)
        case (_, "/healthz"), (_, "/v1/state"), (_, "/v1/chat"), (_, "/v1/freeze"), (_, "/v1/thaw"):
            return .json(Failure(code: "method_not_allowed", message: "this path has another method"), status: 405)
        default: return .json(Failure(code: "not_found", message: "there is no such path"), status: 404)
        }
    }

    private func list(_ conversation: String, _ request: HTTPRequest) -> HTTPResponse {
        struct Page: Encodable {
            let conversation: String
            let total: Int
            let offset: Int
            let turns: [ListedTurn]
        }
        do throws(AgentError) {
            guard ChatRequest.isConversation(conversation) else {
                throw .invalidRequest(reason: "a conversation's id is 1 to 128 of A-Z a-z 0-9 . _ -")
            }
            let offset = try number("offset", 0...limits.maximumTurns, request) ?? 0
            let limit = try number("limit", 1...limits.maximumPage, request) ?? limits.maximumPage
            let turns = try memory.list(conversation, offset: offset, limit: limit).get()
            return .json(
                Page(
                    conversation: conversation, total: memory.turns(in: conversation), offset: offset,
                    turns: turns))
        } catch { return Self.failure(error) }
    }

    private func number(
        _ name: String, _ range: ClosedRange<Int>, _ request: HTTPRequest
    ) throws(AgentError) -> Int? {
        guard let text = request.queryValue(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw .invalidRequest(reason: "\(name) is a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func response(_ result: Result<some Encodable, AgentError>) -> HTTPResponse {
        switch result {
        case .success(let value): .json(value)
        case .failure(let error): failure(error)
        }
    }

    private static func failure(_ error: AgentError) -> HTTPResponse {
        var response = HTTPResponse.json(Failure(error), status: error.status)
        if error.status == 503 { response.headers["Retry-After"] = "1" }
        return response
    }

    /// How every refusal looks, on HTTP and in a stream.
    struct Failure: Encodable {
        struct Reason: Encodable { let code, message: String }
        let error: Reason

        init(code: String, message: String) { error = Reason(code: code, message: message) }
        init(_ error: AgentError) { self.init(code: error.code, message: error.description) }
    }
}
