import FoundationEssentials
import Transport

extension KubernetesClient {
    /// Sends a request and reads the JSON it is answered with.
    func json(_ request: KubernetesRequest) async throws(KubernetesError) -> JSONValue {
        let body = try await bytes(request)
        do { return try JSONValue(decoding: body) } catch {
            throw .unusableAnswer(server: server, what: request.action)
        }
    }

    /// Sends a request and collects the answer; a body that breaks off counts as a broken connection.
    func bytes(_ request: KubernetesRequest) async throws(KubernetesError) -> [UInt8] {
        try await repeating(request) { client, call throws(TransportError) in
            let answer = try await client.stream(call)
            return (answer.status, answer.headers, try await answer.body.collect(limit: Self.maximumAnswerBytes))
        } ?? []
    }

    /// Sends a request and hands out the body as it arrives.
    ///
    /// - Parameter silence: the longest pause between pieces.
    func stream(
        _ request: KubernetesRequest, silence: Duration
    ) async throws(KubernetesError) -> HTTPBodyReader {
        let body = try await repeating(request, silence: silence) {
            client, call throws(TransportError) -> (Int, HTTPHeaders, StreamedBody) in
            let answer = try await client.stream(call)
            guard (200...299).contains(answer.status) else {
                return (answer.status, answer.headers, .refusal(try await answer.body.collect(limit: 1 << 20)))
            }
            return (answer.status, answer.headers, .reader(answer.body))
        }
        guard case .reader(let reader)? = body else { throw .unusableAnswer(server: server, what: request.action) }
        return reader
    }

    /// What an attempt brought: bytes, or a stream that has begun.
    private enum StreamedBody: AnswerBody {
        case reader(HTTPBodyReader)
        case refusal([UInt8])

        var refusal: [UInt8] { if case .refusal(let bytes) = self { bytes } else { [] } }
    }

    /// Sends a request until it is answered for good.
    private func repeating<Body: AnswerBody>(
        _ request: KubernetesRequest, silence: Duration = patience,
        _ attempt: (HTTPClient, HTTPClientRequest) async throws(TransportError) -> (Int, HTTPHeaders, Body)
    ) async throws(KubernetesError) -> Body? {
        var attempts = 0
        var hasRenewed = false
        while true {
            let credential = try await credentials.current()
            attempts += 1
            let failure: KubernetesError
            var pause: Duration?
            do {
                let (client, call) = try prepare(request, credential, silence: silence)
                let (status, headers, body) = try await attempt(client, call)
                if (200...299).contains(status) { return body }
                if status == 401, !hasRenewed, await credentials.renew(after: credential) {
                    hasRenewed = true
                    attempts -= 1
                    continue
                }
                let refusal = KubernetesRefusal(
                    server: server, action: request.action, code: status, body: body.refusal,
                    retryAfterSeconds: headers["retry-after"].flatMap(Int.init))
                let isWorthARepetition =
                    status == 429 || request.isRepeatable && [500, 502, 503, 504].contains(status)
                guard isWorthARepetition else { throw refusal.error }
                failure = refusal.error
                pause = refusal.retryAfterSeconds.map { .seconds($0) }
            } catch let error as KubernetesError {
                throw error
            } catch let error as TransportError {
                let (meaning, canRepeat) = self.meaning(of: error, request)
                guard canRepeat, !Task.isCancelled else { throw meaning }
                failure = meaning
            } catch {
                throw .interrupted(server: server, what: request.action, cause: "\(error)")
            }
            try await rest(afterAttempts: attempts, asked: pause, failure)
        }
    }

    /// Waits before a repetition, or gives up.
    private func rest(
        afterAttempts attempts: Int, asked: Duration?, _ failure: KubernetesError
    ) async throws(KubernetesError) {
        guard attempts < retries.attempts else { throw failure }
        if let asked, asked > retries.longestAskedPause { throw failure }
        var generator = SystemRandomNumberGenerator()
        let own = retries.pause(afterAttempts: attempts, using: &generator)
        do { try await sleep(max(own, asked ?? .zero)) } catch { throw .cancelled }
    }

    func prepare(
        _ request: KubernetesRequest, _ credential: Credential, silence: Duration
    ) throws(KubernetesError) -> (HTTPClient, HTTPClientRequest) {
        var headers = headers(for: credential)
        headers["accept"] = "application/json"
        if !request.body.isEmpty { headers["content-type"] = request.contentType }
        return (
            HTTPClient(loop: loop, tls: tls(for: credential), timeout: silence, maximumBodyBytes: Self.maximumAnswerBytes),
            HTTPClientRequest(
                method: request.method, url: configuration.server.appending(path: request.target), headers: headers,
                body: request.body)
        )
    }

    func headers(for credential: Credential) -> HTTPHeaders {
        var headers = configuration.headers
        headers["authorization"] = credential.authorization
        headers["user-agent"] = "kars"
        return headers
    }

    func tls(for credential: Credential) -> ClientTLS {
        var tls = configuration.tls
        if let identity = credential.identity { tls.identity = identity }
        return tls
    }

    /// What a broken connection means, and whether the call may be sent again.
    func meaning(of error: TransportError, _ request: KubernetesRequest) -> (KubernetesError, canRepeat: Bool) {
        switch error {
        // The request never left.
        case .cannotConnect(_, let cause): return (.unreachable(server: server, cause: cause), true)
        case .tls(let cause): return (.untrusted(server: server, cause: cause), false)
        case .tooLarge(let limit): return (.tooLarge(what: "the request or answer to \(request.action)", limit: limit), false)
        case .invalidAddress, .protocolViolation:
            return (.invalidRequest("cannot ask \(server) to \(request.action): \(error)"), false)
        case .closed where Task.isCancelled: return (.cancelled, false)
        default:
            return (
                .interrupted(server: server, what: request.action, cause: error.description), request.isRepeatable
            )
        }
    }
}

/// What an attempt brought besides status and header fields.
private protocol AnswerBody: Sendable {
    /// The body of a refusal.
    var refusal: [UInt8] { get }
}

extension [UInt8]: AnswerBody {
    fileprivate var refusal: [UInt8] { self }
}
