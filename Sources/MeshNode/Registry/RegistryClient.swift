import FoundationEssentials
import MeshIdentity
import Transport

/// The registry as this peer uses it (AgentMesh wire §7).
public struct RegistryClient: Sendable {
    public let url: ServiceURL
    /// What home records are held against; nil believes the registry.
    let log: RegistryLog?
    private let client: HTTPClient

    public init(url: ServiceURL, tls: ClientTLS, loop: EventLoop, log: RegistryLog? = nil) {
        self.url = url
        self.log = log
        client = HTTPClient(loop: loop, tls: tls, timeout: .seconds(15), maximumBodyBytes: 4 << 20)
    }

    /// Makes the identity known; true when it was new, false when it was there already.
    @discardableResult
    public func register(
        _ identity: Identity, capabilities: [String], metadata: [String: String]
    ) async throws -> Bool {
        let request = RegistrationRequest.make(
            identity: identity, capabilities: capabilities, metadata: metadata, now: Date())
        let response = try await send("POST", "/v1/agents", body: PeerJSON.encode(request))
        switch response.status {
        case 201: return true
        case 409: return false
        default: throw failure(response, "registering \(identity.did)")
        }
    }

    /// Tells everyone that a key is not to be trusted any more; for ever.
    public func revoke(_ certificate: RevocationCertificate) async throws {
        let response = try await send(
            "POST", "/v1/agents/\(certificate.did)/revoke", body: PeerJSON.encode(certificate))
        guard response.status == 200 else { throw failure(response, "revoking \(certificate.did)") }
    }

    /// Gives an agent that is its own home a new key, which must be registered.
    ///
    /// - Throws: a failure with code `conflict` when the agent has another home, or another write was first.
    @discardableResult
    public func succeed(_ certificate: SuccessionCertificate) async throws -> HomeRecord {
        let response = try await send("POST", "/v1/registry/succession", body: PeerJSON.encode(certificate))
        return try decoded(HomeRecord.self, response, "succeeding \(certificate.oldDID)")
    }

    /// Withdraws an identity that is no longer used.
    public func unregister(_ identity: Identity) async throws {
        let response = try await send("DELETE", "/v1/agents/\(identity.did)", as: identity)
        guard response.status == 204 || response.status == 404 else {
            throw failure(response, "withdrawing \(identity.did)")
        }
    }

    /// What the registry says of an agent; nil when it knows none of that name.
    public func agent(_ did: DID) async throws -> RegisteredAgent? {
        let response = try await send("GET", "/v1/agents/\(did)")
        if response.status == 404 { return nil }
        return try decoded(RegisteredAgent.self, response, "looking up \(did)")
    }

    /// The key behind a name; nil when the registry knows no such agent.
    ///
    /// Registries of other makers do not tell it with the agent: the prekeys name it as well.
    func key(of did: DID, as identity: Identity? = nil) async throws -> PublicKey? {
        guard let agent = try await agent(did) else { return nil }
        guard let text = agent.publicKey else { return try await prekeyBundle(of: did, as: identity).verify(for: did) }
        guard let bytes = Base64.decode(text), let key = try? PublicKey(bytes: bytes), did.names(key) else {
            throw OperationFailure(.refused, "the registry names another key for \(did)")
        }
        return key
    }

    func upload(_ prekeys: PrekeyUpload, of identity: Identity) async throws {
        let response = try await send(
            "PUT", "/v1/agents/\(identity.did)/prekeys", as: identity, body: PeerJSON.encode(prekeys))
        guard response.status == 200 else { throw failure(response, "uploading prekeys") }
    }

    /// - Parameter identity: who asks, for registries that want to know; nil asks without a name.
    func prekeyBundle(of did: DID, as identity: Identity? = nil) async throws -> PrekeyBundle {
        let response = try await send("GET", "/v1/agents/\(did)/prekeys", as: identity)
        if response.status == 404 {
            throw OperationFailure(
                .unavailable, "the registry has no prekeys of \(did)",
                hint: "is that peer running, and on the same registry?")
        }
        return try decoded(PrekeyBundle.self, response, "fetching the prekeys of \(did)")
    }

    public func heartbeat(_ identity: Identity) async throws {
        let response = try await send("POST", "/v1/agents/\(identity.did)/heartbeat", as: identity)
        guard response.status == 200 || response.status == 429 else { throw failure(response, "heartbeat") }
    }

    /// The homes an agent had, as the registry tells them, newest first; only for what a person is told.
    ///
    /// - Parameter limit: from 1 to 100.
    public func latestHomes(of agent: DID, limit: Int) async throws -> [(epoch: Int, home: DID)] {
        struct History: Decodable {
            struct Entry: Decodable {
                let epoch: Int
                let home: String
            }
            let history: [Entry]
        }
        let found: History = try await fetch(
            "/v1/agents/\(agent)/home/history?limit=\(limit)", "reading the homes of \(agent)")
        return found.history.prefix(limit).compactMap { entry in
            (try? DID(parsing: entry.home)).map { (entry.epoch, $0) }
        }
    }

    /// What the registry says of an agent's home, on its word alone; ``home(of:)`` asks its log, too.
    public func homeRecord(of agent: DID) async throws -> HomeRecord? {
        let response = try await send("GET", "/v1/agents/\(agent)/home")
        if response.status == 404 { return nil }
        return try decoded(HomeRecord.self, response, "reading the home of \(agent)")
    }

    /// Writes a home record, the commit point of a move.
    ///
    /// - Throws: a failure with code `conflict` when another move won; any other failure says nothing about
    ///   the record, which must then be read again.
    @discardableResult
    public func setHome(of agent: DID, _ update: HomeUpdate) async throws -> HomeRecord {
        let response = try await send("PUT", "/v1/agents/\(agent)/home", body: PeerJSON.encode(update))
        return try decoded(HomeRecord.self, response, "writing the home of \(agent)")
    }
}

/// An agent as the registry lists it; the fields this peer reads.
public struct RegisteredAgent: Codable, Sendable {
    public let did: String
    /// base64url; only our own registry tells it.
    public let publicKey: String?
    public let capabilities: [String]
    public let metadata: [String: String]
    /// 0 to 1.
    public let reputationScore: Double?
    /// `anonymous` or `verified`.
    public let tier: String?
    /// The key's last word; only our own registry tells it.
    public let revocation: RevocationCertificate?

    public init(
        did: String, publicKey: String?, capabilities: [String] = [], metadata: [String: String] = [:],
        reputationScore: Double?, tier: String? = nil, revocation: RevocationCertificate? = nil
    ) {
        self.did = did
        self.publicKey = publicKey
        self.capabilities = capabilities
        self.metadata = metadata
        self.reputationScore = reputationScore
        self.tier = tier
        self.revocation = revocation
    }

    /// Whether the key itself said that it is not to be trusted; the registry's word alone is not enough.
    public func isRevoked(_ key: PublicKey, now: Date = Date()) -> Bool {
        guard let revocation, revocation.publicKey == key else { return false }
        return (try? revocation.verify(now: now)) != nil
    }

    private enum CodingKeys: String, CodingKey {
        case did, capabilities, metadata, tier, revocation
        case publicKey = "public_key"
        case reputationScore = "reputation_score"
    }
}

extension RegistryClient {
    func send(
        _ method: String, _ path: String, as identity: Identity? = nil, body: [UInt8] = []
    ) async throws -> HTTPClientResponse {
        var headers: HTTPHeaders = [:]
        if !body.isEmpty { headers["content-type"] = "application/json" }
        if let identity {
            headers["authorization"] = TimestampAuthorization.header(for: identity, now: Date())
        }
        do {
            return try await client.send(
                HTTPClientRequest(
                    method: method, url: url.appending(path: path), headers: headers, body: body))
        } catch {
            throw OperationFailure(.unavailable, "cannot reach the registry \(url): \(error)")
        }
    }

    func fetch<T: Decodable>(_ path: String, _ what: String) async throws -> T {
        try decoded(T.self, try await send("GET", path), what)
    }

    /// The newest home of an agent in the registry's log, unchecked; nil when the log tells none.
    func logProof(about agent: DID) async throws -> LogProof? {
        let response = try await send("GET", "/v1/log/proof?kind=home&did=\(agent)")
        if response.status == 404 { return nil }
        return try decoded(LogProof.self, response, "reading the registry's log")
    }

    func decoded<T: Decodable>(
        _ type: T.Type, _ response: HTTPClientResponse, _ what: String
    ) throws -> T {
        guard response.status == 200 else { throw failure(response, what) }
        guard let value = PeerJSON.decode(type, from: response.body) else {
            throw OperationFailure(.failed, "\(what): the registry's answer makes no sense")
        }
        return value
    }

    func failure(_ response: HTTPClientResponse, _ what: String) -> OperationFailure {
        struct Detail: Decodable { let detail: String }
        let detail = PeerJSON.decode(Detail.self, from: response.body)?.detail ?? "status \(response.status)"
        let code: OperationFailure.Code =
            switch response.status {
            case 404: .notFound
            case 409: .conflict
            case 401, 403: .refused
            case 400, 422: .invalid
            case 429, 502, 503, 504: .unavailable
            default: .failed
            }
        return OperationFailure(code, "\(what): the registry answered: \(detail)")
    }
}
