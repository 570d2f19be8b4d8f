import FoundationEssentials
import MeshIdentity
import MeshNode
import Observability
import Synchronization
import Transport

/// The one way in to the agents of a peer: `/agents/<name>/…` (design decision 5).
///
/// A request needs the agent's gateway token. It goes to the agent when it lives here, waits while the agent
/// is frozen, and goes on through the mesh when the agent lives elsewhere, so a client keeps its address for
/// as long as this peer runs.
public final class Gate: AgentDoor {
    /// Asks the agent's present home.
    public typealias Forwarder = @Sendable (PeerIdentity, ForwardRequest) async throws -> ForwardRequest.Answer

    struct Entry: Sendable {
        let turnstile: Turnstile
        /// SHA-256 of the token, compared in constant time.
        let tokenHash: [UInt8]
    }

    static let prefix = "/agents/"
    /// The runtime contract's hooks are for the node alone; a client must not freeze an agent.
    static let hooks: Set<String> = ["/v1/freeze", "/v1/thaw"]

    /// Runtime contract v1: names a request that was sent on from another peer, so that an agent which gets it twice
    /// can answer what it answered. Only gates set it.
    static let requestIDHeader = "kars-request-id"

    let entries = Mutex<[String: Entry]>([:])
    let limits: GateLimits
    let client: HTTPClient
    let loop: EventLoop
    let logger: Logger
    private let forwarder: Forwarder
    /// WebSockets; made with the way to other peers.
    private let streams = Mutex<GateStreams?>(nil)
    private let requests: Counter
    private let refused: Counter
    private let forwarded: Counter

    public init(
        loop: EventLoop, limits: GateLimits = .init(), logger: Logger, metrics: Metrics,
        forwarder: @escaping Forwarder
    ) {
        self.loop = loop
        self.limits = limits
        self.logger = logger
        self.forwarder = forwarder
        client = HTTPClient(loop: loop, timeout: .seconds(120), maximumBodyBytes: 64 << 20)
        requests = metrics.counter("kars_gate_requests_total", "Requests let through to agents.")
        refused = metrics.counter("kars_gate_refused_total", "Requests refused at a bound or while stopped.")
        forwarded = metrics.counter("kars_gate_forwarded_total", "Requests sent on to an agent's new home.")
    }

    /// Lets WebSockets in, through `calls` also to agents that moved away; once, before the first client.
    public func carryStreams(over calls: MeshCalls) {
        let made = GateStreams(loop: loop, calls: calls, logger: logger) { [weak self] agent in
            self?.entries.withLock { $0[agent]?.turnstile }?.route
        }
        streams.withLock { $0 = made }
    }

    var openStreams: GateStreams? { streams.withLock { $0 } }

    // MARK: Routes

    /// Makes an agent reachable, or changes where its requests go.
    public func open(_ agent: String, token: String, route: AgentRoute) {
        let known = entries.withLock { entries -> Turnstile? in
            let known = entries[agent]?.turnstile
            entries[agent] = Entry(
                turnstile: known ?? Turnstile(route: route, limits: limits),
                tokenHash: SHA256Digest.hash(Array(token.utf8)))
            return known
        }
        known?.release(to: route)
        if known != nil { openStreams?.release(agent, to: route) }
    }

    /// Holds the agent's requests and waits for those under way.
    ///
    /// - Returns: false when they did not end in time; the caller releases the gate again.
    public func hold(_ agent: String) async -> Bool {
        guard let turnstile = entries.withLock({ $0[agent]?.turnstile }) else { return true }
        let isIdle = await turnstile.hold()
        await openStreams?.hold(agent)
        return isIdle
    }

    /// Returns when the clients of a frozen agent's WebSockets have all that it said.
    public func settle(_ agent: String) async { await openStreams?.settle(agent) }

    /// Lets requests go on.
    public func release(_ agent: String, to route: AgentRoute) {
        entries.withLock { $0[agent]?.turnstile }?.release(to: route)
        openStreams?.release(agent, to: route)
    }

    /// Takes the agent's address away; requests that wait are refused.
    public func remove(_ agent: String) {
        entries.withLock { $0.removeValue(forKey: agent) }?.turnstile.release(to: .stopped)
        openStreams?.remove(agent)
    }

    /// Requests that wait for a frozen agent.
    public func heldCount(_ agent: String) -> Int {
        entries.withLock { $0[agent]?.turnstile.heldCount } ?? 0
    }

    /// Where an agent's requests go right now; nil for an agent that is not known.
    public func route(of agent: String) -> AgentRoute? { entries.withLock { $0[agent]?.turnstile }?.route }

    // MARK: Requests

    /// Whether a request shows the agent's gateway token in its header; one in the address does not count, because
    /// addresses end up in logs.
    public func isAuthorised(_ request: HTTPRequest, for agent: String) -> Bool {
        guard let entry = entries.withLock({ $0[agent] }) else { return false }
        return Self.isAuthorised(headers: request.headers, queryToken: nil, entry)
    }

    /// Answers a client's request.
    public func handle(_ request: HTTPRequest) async -> HTTPResponse {
        guard let (agent, path) = Self.split(request.path) else {
            return Self.error(404, "no such path; agents are at \(Self.prefix)<name>/")
        }
        guard let entry = entries.withLock({ $0[agent] }), Self.isAuthorised(request, entry) else {
            // The same answer for an unknown agent and a wrong token: names are not for strangers.
            return Self.error(401, "the gateway token is missing or wrong", ["www-authenticate": "Bearer"])
        }
        guard !Self.isHook(path) else { return Self.error(403, "\(path) is for the node alone") }
        let target = path + Self.withoutToken(request.query)
        var headers = request.headers
        headers[Self.requestIDHeader] = nil
        let inner = HTTPRequest(
            method: request.method, path: request.path, headers: headers, body: request.body,
            remoteAddress: request.remoteAddress)
        return await Self.response(to: pass(entry.turnstile, agent, target, inner, hops: 0))
    }

    /// Takes a client's WebSocket, or nil when its path or token is not good; runs on the loop.
    public func accept(_ upgrade: WebSocketUpgrade) -> (any WebSocketDelegate)? {
        guard let (agent, path) = Self.split(upgrade.path), !Self.isHook(path),
            let entry = entries.withLock({ $0[agent] }),
            Self.isAuthorised(headers: upgrade.headers, queryToken: upgrade.queryValue("token"), entry)
        else { return nil }
        return openStreams?.accept(agent, path + Self.withoutToken(upgrade.query))
    }

    /// Opens a stream that another peer's gate sent on.
    func answer(_ request: OpenStream, from peer: PeerIdentity) async throws {
        let path = request.target.prefix { $0 != "?" }
        guard entries.withLock({ $0[request.agent] }) != nil, Self.isTarget(request.target), Self.isPlain(path),
            !Self.isHook(path)
        else { throw OperationFailure(.refused, "no such stream at \"\(request.agent)\"") }
        try await openStreams?.take(request, from: peer)
    }

    /// Answers a request that another peer's gate sent on; the agent must live here.
    public func answer(_ request: ForwardRequest) async throws -> ForwardRequest.Answer {
        guard let entry = entries.withLock({ $0[request.agent] }) else {
            throw OperationFailure(.notFound, "no agent called \"\(request.agent)\" lives here")
        }
        let path = request.target.prefix { $0 != "?" }
        guard Self.isTarget(request.target), Self.isPlain(path) else {
            throw OperationFailure(.invalid, "the target of the request is not one of an agent")
        }
        guard !Self.isHook(path) else { throw OperationFailure(.refused, "\(path) is for the node alone") }
        let hops = max(1, request.hops ?? 1)
        guard hops < limits.maximumHops else {
            throw OperationFailure(.unavailable, "\(request.agent) cannot be found: its homes name each other")
        }
        guard request.body.bytes.count <= limits.forwardedBytes else {
            throw OperationFailure(.invalid, "the request is too large to be sent on")
        }
        guard request.requestID.map(Self.isRequestID) ?? true else {
            throw OperationFailure(.invalid, "the name of the request is not one of a gate")
        }
        var headers: HTTPHeaders = [:]
        headers[Self.requestIDHeader] = request.requestID
        headers["content-type"] = request.contentType
        headers["accept"] = request.accept
        let inner = HTTPRequest(
            method: request.method, path: String(path), headers: headers, body: request.body.bytes,
            remoteAddress: "mesh")
        switch await pass(entry.turnstile, request.agent, request.target, inner, hops: hops) {
        case .agent(let response, let passage):
            defer { withExtendedLifetime(passage) {} }
            do {
                return ForwardRequest.Answer(
                    status: response.status, contentType: response.headers["content-type"],
                    body: try await response.body.collect(limit: limits.forwardedBytes))
            } catch TransportError.tooLarge {
                return Self.answer(502, "the agent's answer is too large to be sent on")
            } catch {
                return Self.answer(502, "the agent broke off its answer")
            }
        case .forwarded(let answer): return answer
        case .refused(let status, let message): return Self.answer(status, message)
        }
    }

    private static func answer(_ status: Int, _ message: String) -> ForwardRequest.Answer {
        ForwardRequest.Answer(
            status: status, contentType: "application/json", body: Array("{\"error\":\"\(message)\"}".utf8))
    }
}

/// What became of a request that passed the token check.
private enum Passed {
    /// The agent answers; the passage lasts as long as its answer is read.
    case agent(HTTPStreamingResponse, Turnstile.Passage)
    case forwarded(ForwardRequest.Answer)
    case refused(Int, String)
}

extension Gate {
    /// - Parameters:
    ///   - target: path and query as the agent gets them.
    ///   - hops: gates the request came through before this one.
    private func pass(
        _ turnstile: Turnstile, _ agent: String, _ target: String, _ request: HTTPRequest, hops: Int
    ) async -> Passed {
        let deadline = ContinuousClock.now + limits.absenceTime
        while true {
            if let passed = await passOnce(turnstile, agent, target, request, hops: hops) { return passed }
            guard ContinuousClock.now < deadline, (try? await Task.sleep(for: Self.absencePause)) != nil else {
                refused.add()
                return .refused(503, "the agent does not run")
            }
        }
    }

    private static let absencePause = Duration.milliseconds(20)

    /// - Returns: nil when the agent was not there to hear the request, so that asking again does nothing twice.
    private func passOnce(
        _ turnstile: Turnstile, _ agent: String, _ target: String, _ request: HTTPRequest, hops: Int
    ) async -> Passed? {
        let passage: Turnstile.Passage
        do {
            passage = try await turnstile.enter(bytes: request.body.count)
        } catch {
            refused.add()
            return .refused(503, error.description)
        }
        do {
            switch passage.route {
            case .local(let socket):
                requests.add()
                return .agent(try await ask(socket, target, request), passage)
            case .forward(let peer):
                guard request.body.count <= limits.forwardedBytes else {
                    refused.add()
                    return .refused(413, "the agent moved away and the request is too large to be sent on")
                }
                forwarded.add()
                return .forwarded(
                    try await forwarder(
                        peer,
                        ForwardRequest(
                            agent: agent, method: request.method, target: target,
                            contentType: request.headers["content-type"], accept: request.headers["accept"],
                            body: request.body, hops: hops + 1,
                            requestID: request.headers[Self.requestIDHeader] ?? FrameID.make())))
            case .stopped, .held:
                refused.add()
                return .refused(503, "the agent is stopped")
            }
        } catch TransportError.cannotConnect where passage.route.isLocal {
            return nil
        } catch {
            logger.warn("a request was not answered", ["agent": agent, "error": "\(error)"])
            return .refused(502, "the agent did not answer")
        }
    }

    private func ask(
        _ socket: String, _ target: String, _ request: HTTPRequest
    ) async throws -> HTTPStreamingResponse {
        var headers: HTTPHeaders = [:]
        for (name, value) in request.headers where !Self.dropped.contains(name.lowercased()) {
            headers.add(name, value)
        }
        return try await client.stream(
            HTTPClientRequest(
                method: request.method, url: ServiceURL(unixSocket: socket, target: target),
                headers: headers, body: request.body))
    }

    /// Answers up to this size are sent with their length; longer ones as they come.
    private static let wholeAnswerBytes = 256 << 10

    private static func response(to passed: Passed) async -> HTTPResponse {
        switch passed {
        case .refused(let status, let message):
            return error(status, message, ["retry-after": "1"])
        case .forwarded(let answer):
            return .bytes(
                answer.body.bytes, status: answer.status,
                contentType: answer.contentType ?? "application/octet-stream")
        case .agent(let response, let passage):
            var headers: HTTPHeaders = [:]
            for (name, value) in response.headers where !dropped.contains(name.lowercased()) {
                headers.add(name, value)
            }
            if let length = response.headers["content-length"].flatMap({ Int($0) }), length <= wholeAnswerBytes {
                do {
                    let body = try await response.body.collect(limit: wholeAnswerBytes)
                    withExtendedLifetime(passage) {}
                    return HTTPResponse(status: response.status, headers: headers, body: .bytes(body))
                } catch {
                    return Self.error(502, "the agent broke off its answer")
                }
            }
            return HTTPResponse(
                status: response.status, headers: headers,
                body: .stream { writer in
                    for try await piece in response.body { try await writer.write(piece) }
                    withExtendedLifetime(passage) {}
                })
        }
    }

    /// `/agents/<name>/rest` → the name and `/rest`.
    static func split(_ path: String) -> (agent: String, path: String)? {
        guard path.hasPrefix(prefix) else { return nil }
        let rest = path.dropFirst(prefix.count)
        let name = rest.prefix { $0 != "/" }
        guard !name.isEmpty else { return nil }
        let inner = rest.dropFirst(name.count)
        guard isPlain(inner) else { return nil }
        return (String(name), inner.isEmpty ? "/" : String(inner))
    }

    /// What the agent's own server would resolve must not slip past the list of hooks.
    private static func isPlain(_ path: some StringProtocol) -> Bool {
        !path.contains("//") && !path.contains("/.")
            && !path.utf8.contains { "%\\;".utf8.contains($0) }
    }

    /// Whether a path is one of the hooks, also for a server that ignores case and a slash at the end.
    private static func isHook(_ path: some StringProtocol) -> Bool {
        var path = path.lowercased()
        while path.hasSuffix("/") { path.removeLast() }
        return hooks.contains(path)
    }

    /// A path and query that cannot become more than the target of one request: visible ASCII, no fragment.
    private static func isTarget(_ text: String) -> Bool {
        text.hasPrefix("/") && text.utf8.count <= maximumTargetBytes
            && text.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "#") }
    }

    private static let maximumTargetBytes = 8_192

    /// What a gate may name a request: letters, digits and dashes, so that it is one value of one header.
    private static func isRequestID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    /// `?` and the query less the gateway token, which is not the agent's business; nothing without a query.
    static func withoutToken(_ query: String?) -> String {
        guard let query else { return "" }
        let rest = query.split(separator: "&", omittingEmptySubsequences: false).filter { pair in
            // As the token is read: decoded, for a name may be written in several ways.
            HTTPRequest(path: "/", query: String(pair)).queryValue("token") == nil
        }
        return rest.isEmpty ? "" : "?" + rest.joined(separator: "&")
    }

    static func isAuthorised(_ request: HTTPRequest, _ entry: Entry) -> Bool {
        isAuthorised(headers: request.headers, queryToken: request.queryValue("token"), entry)
    }

    static func isAuthorised(headers: HTTPHeaders, queryToken: String?, _ entry: Entry) -> Bool {
        var token = queryToken
        if let header = headers["authorization"], header.lowercased().hasPrefix("bearer ") {
            token = String(header.dropFirst("bearer ".count))
        }
        guard let token else { return false }
        return ConstantTime.equals(SHA256Digest.hash(Array(token.utf8)), entry.tokenHash)
    }

    static func error(_ status: Int, _ message: String, _ headers: HTTPHeaders = [:]) -> HTTPResponse {
        var response = HTTPResponse.json(["error": message], status: status)
        for (name, value) in headers { response.headers[name] = value }
        return response
    }

    /// Hop-by-hop fields, and the gateway token, which is not the agent's business.
    static let dropped: Set<String> = [
        "authorization", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
        "trailer", "transfer-encoding", "upgrade", "host", "content-length",
    ]
}
