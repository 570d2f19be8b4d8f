import FoundationEssentials
import MeshIdentity
import Observability
import Transport

/// The registry's REST interface without its sockets: a request in, an answer out (AgentMesh wire §7).
struct RegistryAPI: Sendable {
    let store: any RegistryStore
    let limits: RegistryLimits
    let policy: RegistryPolicy
    let now: @Sendable () -> Date
    let logger: Logger
    let counts: RegistryMetrics
    let health: Health
    let requestRates: TokenBuckets
    let prekeyRates: TokenBuckets
    let registrationRates: TokenBuckets
    let replays: ReplayWindow
    /// Signs the log's heads.
    let signer: Identity
    /// Nil where nobody can be verified.
    let verifier: EntraVerifier?
    /// Where people may sign in.
    let oauth: OAuthClients
    let signIns: SignIns

    /// Reads the requests that it is to refuse a second time, which blocks.
    init(
        store: any RegistryStore, limits: RegistryLimits, policy: RegistryPolicy = RegistryPolicy(),
        signer: Identity, verifier: EntraVerifier? = nil,
        oauth: OAuthClients = OAuthClients([]), logger: Logger, metrics: Metrics, health: Health,
        now: @escaping @Sendable () -> Date = { Date() }
    ) throws {
        self.store = store
        self.limits = limits
        self.policy = policy
        self.signer = signer
        self.verifier = verifier
        self.oauth = oauth
        signIns = SignIns(limit: limits.maximumSignIns)
        self.now = now
        self.logger = logger
        self.health = health
        counts = RegistryMetrics(metrics)
        requestRates = TokenBuckets(
            burst: limits.requestBurst, refillPerSecond: limits.requestsPerSecond,
            maximumKeys: limits.maximumTrackedAddresses)
        registrationRates = TokenBuckets(
            burst: limits.registrationBurst, refillPerSecond: limits.registrationsPerSecond,
            maximumKeys: limits.maximumTrackedAddresses)
        prekeyRates = TokenBuckets(
            burst: limits.prekeyBurst, refillPerSecond: 1 / max(limits.prekeyRefillInterval.inSeconds, 0.001),
            maximumKeys: limits.maximumTrackedAddresses)
        replays = ReplayWindow(maximumRequests: limits.maximumRememberedRequests)
        let known = try store.rememberedRequests(
            since: now().addingTimeInterval(-ReplayWindow.length), limit: limits.maximumRememberedRequests / 2)
        for request in known { _ = replays.admit(request.digest, now: request.at) }
    }

    /// Answers every request; what went wrong inside stands in the log only.
    func handle(_ request: HTTPRequest) async -> HTTPResponse {
        // Probes come often and from few addresses; they are neither limited nor counted.
        if request.method == "GET", let answer = health.answer(path: request.path) {
            return .text(answer.body, status: answer.status, contentType: answer.contentType)
        }
        let response: HTTPResponse
        do {
            response = try await answer(request)
        } catch let refusal as Refusal {
            response = refusal.response
        } catch {
            counts.failures.add()
            logger.error(
                "request failed",
                ["method": request.method, "path": request.path, "reason": String(describing: error)])
            response = Refusal(status: 500, detail: "internal error").response
        }
        counts.answered(response.status)
        logger.debug(
            "request", ["method": request.method, "path": request.path, "status": response.status])
        return response
    }

    private func answer(_ request: HTTPRequest) async throws -> HTTPResponse {
        try spend(of: requestRates, request, "too many requests from this address")
        guard request.body.count <= limits.maximumBodyBytes else {
            throw Refusal(status: 413, detail: "a body has at most \(limits.maximumBodyBytes) bytes")
        }
        guard let route = Route(path: request.path) else { throw Refusal.missing("no such resource") }
        guard route.methods.contains(request.method) else {
            throw Refusal(
                status: 405, detail: "method not allowed", headers: ["allow": route.methods.joined(separator: ", ")])
        }
        let isGet = request.method == "GET"
        switch route {
        case .health: return healthSummary()
        case .openAPI: return .text(OpenAPIDocument.json, contentType: "application/json")
        case .agents: return isGet ? try await listAgents(request) : try await register(request)
        case .agent(let did):
            return isGet ? try await agent(named: did) : try await deregister(did, request)
        case .prekeys(let did):
            return isGet ? try await fetchPrekeys(did, request) : try await uploadPrekeys(did, request)
        case .presence(let did): return try await presence(of: did)
        case .heartbeat(let did): return try await heartbeat(of: did, request)
        case .reputation(let did): return try await rate(did, request)
        case .revocation(let did): return try await revoke(did, request)
        case .sessionReputation: return try await rateSession(request)
        case .home(let did): return isGet ? try await home(of: did) : try await move(did, request)
        case .homeHistory(let did): return try await homeHistory(of: did, request)
        case .succession: return try await succeed(request)
        case .discovery: return try await discover(request)
        case .verification: return try await verify(request)
        case .oauthProviders: return oauthProviders()
        case .logHead: return try await logHead()
        case .logEntries: return try await logEntries(request)
        case .logProof: return try await logProof(request)
        case .logConsistency: return try await logConsistency(request)
        case .oauthAuthorization: return try await beginSignIn(request)
        case .oauthCallback: return try await endSignIn(request)
        case .oauthPolling: return try pollSignIn(request)
        }
    }

    /// Takes one of what the caller's address may do.
    func spend(of rates: TokenBuckets, _ request: HTTPRequest, _ detail: String) throws(Refusal) {
        guard rates.take(AddressKey.make(request.remoteAddress), now: now()) else {
            counts.rateLimited.add()
            throw Refusal(status: 429, detail: detail, headers: ["retry-after": "1"])
        }
    }

    private func healthSummary() -> HTTPResponse {
        struct Summary: Encodable {
            let status: String
            let service = "agentmesh-registry"
            let entra_verify_enabled: Bool
        }
        let isReady = health.isReady
        return .json(Summary(status: isReady ? "ok" : "unavailable", entra_verify_enabled: verifier != nil), status: isReady ? 200 : 503)
    }
}
