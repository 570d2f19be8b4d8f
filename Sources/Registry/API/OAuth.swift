import FoundationEssentials
import MeshIdentity
import Transport

/// Sign-in of the person behind an agent, for `kars mesh auth` (AgentMesh wire §7).
///
/// The client asks with its key's signature, the person signs in with the provider, the provider sends the browser
/// back here, and the client hears of it: from its loopback callback, or by asking with its ticket.
extension RegistryAPI {
    /// How long a person may take, in seconds.
    static let signInSeconds = 600.0
    /// How often a client is to ask, in seconds.
    static let pollSeconds = 2

    func oauthProviders() -> HTTPResponse {
        struct Provider: Encodable {
            let name: String
            let enabled = true
            let display_name: String
        }
        let providers = oauth.all.map { Provider(name: $0.provider.name, display_name: $0.provider.displayName) }
        return .json(["providers": providers])
    }

    private struct AuthorizationRequest: Decodable {
        let amid: String
        let provider: String
        let signature: String
        let timestamp: String
        /// Ours: where the client listens, on its own machine.
        let callback: String?
        /// Ours: the client's one-time value, which the result repeats.
        let state: String?
    }

    private struct AuthorizationAnswer: Encodable {
        let authorization_url: String
        let ticket: String
        let interval: Int
        let expires_in: Int
    }

    func beginSignIn(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard !oauth.all.isEmpty else { throw Refusal(status: 503, detail: "no OAuth provider is configured") }
        let wanted = try body(AuthorizationRequest.self, of: request)
        guard let client = oauth.named(wanted.provider) else {
            throw Refusal.malformed("no such provider")
        }
        guard wanted.state?.utf8.count ?? 0 <= 128 else { throw Refusal.malformed("state has at most 128 bytes") }
        if let callback = wanted.callback { try check(callback: callback) }
        let agent = try await registered(wanted.amid)
        guard agent.revocation == nil else { throw Refusal.forbidden("this agent's key is revoked") }
        // The same proof as in the Authorization header, in the body.
        let header = "\(TimestampAuthorization.scheme) \(agent.did) \(wanted.timestamp) \(wanted.signature)"
        guard let proof = TimestampAuthorization(header: header) else {
            throw Refusal.malformed("signature or timestamp is unreadable")
        }
        do {
            try proof.verify(key: agent.key, now: now())
        } catch {
            throw Refusal.unproven("proof refused: \(error)")
        }
        return try await once(request, signature: proof.signature) {
            let signIn = SignIns.SignIn(
                agent: agent.key, amid: wanted.amid, provider: wanted.provider, state: wanted.state ?? "",
                callback: wanted.callback, verifier: SignIns.secret(), nonce: SignIns.secret(),
                endsAt: now().addingTimeInterval(Self.signInSeconds))
            guard let names = signIns.begin(signIn, now: now()) else {
                throw Refusal(
                    status: 503, detail: "too many people are signing in", headers: ["retry-after": "60"])
            }
            return .json(
                AuthorizationAnswer(
                    authorization_url: client.authorizationURL(
                        state: names.state, nonce: signIn.nonce, verifier: signIn.verifier),
                    ticket: names.ticket, interval: Self.pollSeconds, expires_in: Int(Self.signInSeconds)))
        }
    }

    /// A browser is sent to no other machine than its own.
    private func check(callback: String) throws(Refusal) {
        let refusal = Refusal.malformed("callback is http://127.0.0.1:<port>/<path> without a query")
        guard callback.utf8.count <= 256, let url = try? ServiceURL(parsing: callback), url.scheme == .http,
            case .tcp = url.place, url.isOnThisMachine, !callback.utf8.contains(UInt8(ascii: "?"))
        else { throw refusal }
    }

    /// The browser is back from the provider.
    func endSignIn(_ request: HTTPRequest) async throws -> HTTPResponse {
        guard let name = request.queryValue("state"), let (signIn, ticket) = signIns.take(name, now: now()),
            let client = oauth.named(signIn.provider)
        else {
            return page("This sign-in is not known, was used already or took too long. Begin again.", status: 400)
        }
        let outcome = await outcome(of: signIn, by: client, request)
        var person: VerifiedPerson?
        if case .success(let found) = outcome { person = found }
        if let person {
            guard try await store.verify(signIn.agent.did, as: person, now: now()) else {
                return page("The agent has left the registry meanwhile.", status: 404)
            }
            counts.verifications.add()
            logger.info(
                "agent verified", ["did": signIn.agent.did.canonical, "provider": person.provider])
        } else {
            counts.verificationsRefused.add()
        }
        let result = SignInResult.make(
            amid: signIn.amid, provider: signIn.provider, outcome: outcome, state: signIn.state, signer: signer,
            now: now())
        signIns.finish(ticket, with: result)
        if let callback = signIn.callback {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let text = Base64.encodeURL(Array(try encoder.encode(result)))
            return HTTPResponse(
                status: 302, headers: ["location": "\(callback)?result=\(text)", "cache-control": "no-store"])
        }
        if let person {
            return page(
                "The agent \(signIn.amid) is verified as \(person.username ?? person.providerID). "
                    + "You can close this window.")
        }
        return page("Nobody was verified: \(result.error ?? "")", status: 403)
    }

    private func outcome(
        of signIn: SignIns.SignIn, by client: OAuthClient, _ request: HTTPRequest
    ) async -> Result<VerifiedPerson, SignInFailure> {
        guard let code = request.queryValue("code"), (1...4096).contains(code.utf8.count) else {
            let reason = request.queryValue("error") ?? "it sent no code"
            // The text comes from whoever made the link; only a word of the protocol's alphabet is repeated.
            let isWord = reason.utf8.count <= 64 && reason.utf8.allSatisfy { (0x20...0x7e).contains($0) }
            return .failure(.refused(isWord ? reason : "unreadable error"))
        }
        do throws(SignInFailure) {
            return .success(try await client.person(code: code, for: signIn, now: now()))
        } catch {
            return .failure(error)
        }
    }

    private func page(_ text: String, status: Int = 200) -> HTTPResponse {
        var response = HTTPResponse.text(
            "<!doctype html><meta charset=\"utf-8\"><title>kars</title><p>\(FormText.html(text))</p>\n",
            status: status, contentType: "text/html; charset=utf-8")
        response.headers.add("cache-control", "no-store")
        response.headers.add("content-security-policy", "default-src 'none'")
        response.headers.add("referrer-policy", "no-referrer")
        return response
    }

    private struct PollRequest: Decodable {
        let ticket: String
    }

    private struct PollAnswer: Encodable {
        let status: String
        let result: SignInResult?
    }

    func pollSignIn(_ request: HTTPRequest) throws -> HTTPResponse {
        let wanted = try body(PollRequest.self, of: request)
        switch signIns.progress(of: wanted.ticket, now: now()) {
        case .pending: return .json(PollAnswer(status: "pending", result: nil))
        case .done(let result): return .json(PollAnswer(status: "done", result: result))
        case .unknown: throw Refusal.missing("this sign-in is not known or took too long")
        }
    }
}
