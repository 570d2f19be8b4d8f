import FoundationEssentials
import MeshIdentity
import Transport

/// What several resources read from a request.
extension RegistryAPI {
    /// Longest list a page holds, and how long one is when nobody asks (AgentMesh wire §7).
    static let maximumPageSize = 200
    static let defaultPageSize = 50
    /// Entries that may be left out before a page: each is read, though not sent.
    static let maximumOffset = 100_000

    /// Reads a JSON body; the refusal says which field is wrong, never its value.
    func body<Body: Decodable>(_ type: Body.Type, of request: HTTPRequest) throws(Refusal) -> Body {
        do {
            return try JSONDecoder().decode(type, from: Data(request.body))
        } catch let error as DecodingError {
            throw .malformed("body refused: \(Self.reason(of: error))")
        } catch {
            throw .malformed("body refused: not JSON")
        }
    }

    private static func reason(of error: DecodingError) -> String {
        func name(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: ".") }
        switch error {
        case .keyNotFound(let key, let context): return "\(name(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return context.codingPath.isEmpty ? "not an object" : "\(name(context.codingPath)) has the wrong type"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty ? "not JSON" : "\(name(context.codingPath)) is unreadable"
        @unknown default: return "not JSON"
        }
    }

    /// `limit` 1…200 (50) and `offset` 0…100,000 (0) of the query.
    func page(of request: HTTPRequest) throws(Refusal) -> (limit: Int, offset: Int) {
        let limit = try number("limit", 1...Self.maximumPageSize, of: request) ?? Self.defaultPageSize
        let offset = try number("offset", 0...Self.maximumOffset, of: request) ?? 0
        return (limit, offset)
    }

    func number(
        _ name: String, _ range: ClosedRange<Int>, of request: HTTPRequest
    ) throws(Refusal) -> Int? {
        guard let text = request.queryValue(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw .malformed("\(name) is a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// The registered agent that a path names; text that is no DID names nobody.
    func registered(_ text: String) async throws -> AgentRecord {
        guard let did = try? DID(parsing: text) else { throw Refusal.missing("agent not found") }
        if let agent = try await store.agent(did) { return agent }
        // A key that was succeeded may leave; its old peers still find the way.
        if let present = try await store.lineage(of: did)?.record.did, present != did.canonical {
            throw Refusal.missing("agent not found; it was succeeded by \(present)")
        }
        throw Refusal.missing("agent not found")
    }

    /// The registered agent that signed the request (AgentMesh wire §7).
    func caller(of request: HTTPRequest) async throws -> (agent: AgentRecord, proof: TimestampAuthorization) {
        guard let header = request.headers["authorization"] else {
            throw Refusal.unproven(
                "the header Authorization: Ed25519-Timestamp <did> <timestamp> <signature> is missing")
        }
        guard let proof = TimestampAuthorization(header: header) else {
            throw Refusal.unproven("the Authorization header is not Ed25519-Timestamp <did> <timestamp> <signature>")
        }
        guard let agent = try await store.agent(proof.did) else {
            throw Refusal.unproven("the DID of the Authorization header is not registered")
        }
        guard agent.revocation == nil else { throw Refusal.unproven("the key of the Authorization header is revoked") }
        do {
            try proof.verify(key: agent.key, now: now())
        } catch {
            throw Refusal.unproven("authorization refused: \(error)")
        }
        return (agent, proof)
    }

    /// ``caller(of:)`` where only `agent` itself may ask.
    func caller(of request: HTTPRequest, being agent: AgentRecord) async throws -> TimestampAuthorization {
        let (caller, proof) = try await caller(of: request)
        guard caller.key == agent.key else {
            throw Refusal.forbidden("the Authorization header is another agent's")
        }
        return proof
    }

    /// Runs a change unless this very request was carried out before.
    ///
    /// A signature covers the time alone, so a copied header would be good for five minutes. A request that failed
    /// may come again.
    func once<Result>(
        _ request: HTTPRequest, signature: [UInt8], _ change: () async throws -> Result
    ) async throws -> Result {
        let text = "\(request.method) \(request.path)\n"
        let digest = SHA256Digest.hash(signature + Array(text.utf8) + SHA256Digest.hash(request.body))
        guard replays.admit(digest, now: now()) else {
            counts.replaysRefused.add()
            throw Refusal.unproven("replayed: this signed request was carried out already")
        }
        // Queued before the change, so that it is on disk before or with it; the queue shares one commit.
        store.remember(request: digest, at: now()) { [logger] in
            logger.error("a request could not be remembered", ["reason": "\($0)"])
        }
        do {
            return try await change()
        } catch {
            replays.forget(digest)
            store.forget(request: digest)
            throw error
        }
    }
}
