import MeshIdentity
import Transport

/// Registration and lookup.
extension RegistryAPI {
    private struct Registered: Encodable {
        let did: String
        let status = "registered"
    }

    func register(_ request: HTTPRequest) async throws -> HTTPResponse {
        try spend(of: registrationRates, request, "too many registrations from this address")
        let registration = try body(RegistrationRequest.self, of: request)
        try checkBounds(of: registration)
        let key = try prove(registration)
        let time = now()
        let agent = try AgentRecord(
            key: key, capabilities: registration.capabilities, metadata: registration.metadata, registeredAt: time,
            lastSeen: time)
        let known = Refusal(status: 409, detail: "already registered")
        // Asked first, so that a repeated registration reads "already registered"; the replay check is for one that
        // comes again after the agent has left.
        if try await store.agent(key.did) != nil { throw known }
        let signature = Base64.decode(registration.proof) ?? []
        return try await once(request, signature: signature) {
            switch try await store.insert(
                agent, offering: Set(registration.capabilities), limit: limits.maximumAgents) {
            case .inserted: break
            case .alreadyThere: throw known
            case .full: throw Refusal(status: 503, detail: "the registry is full")
            }
            counts.registrations.add()
            logger.info("agent registered", ["did": agent.did])
            return .json(Registered(did: agent.did), status: 201)
        }
    }

    private func checkBounds(of registration: RegistrationRequest) throws(Refusal) {
        guard registration.capabilities.count <= limits.maximumCapabilities,
            registration.capabilities.allSatisfy({ (1...limits.maximumCapabilityBytes).contains($0.utf8.count) })
        else {
            throw .malformed(
                "capabilities: at most \(limits.maximumCapabilities), "
                    + "each of 1 to \(limits.maximumCapabilityBytes) bytes")
        }
        let longest = limits.maximumMetadataTextBytes
        guard registration.metadata.count <= limits.maximumMetadataEntries,
            registration.metadata.allSatisfy({ $0.key.utf8.count <= longest && $0.value.utf8.count <= longest })
        else {
            throw .malformed(
                "metadata: at most \(limits.maximumMetadataEntries) entries, names and values of \(longest) bytes")
        }
    }

    private func prove(_ registration: RegistrationRequest) throws(Refusal) -> PublicKey {
        if policy.acceptsUnprovenRegistrations, registration.proof.isEmpty, registration.proofTimestamp.isEmpty {
            guard let key = try? PublicKey(base64: registration.publicKey) else { throw .malformed("public_key") }
            return key
        }
        do {
            return try registration.verify(now: now())
        } catch .missing(let field) where field != "public_key" {
            throw .unproven(
                "\(field) is missing: registration needs proof, base64url Ed25519 over "
                    + "public_key followed by proof_timestamp")
        } catch {
            switch error {
            case .missing, .malformed: throw .malformed("\(error)")
            default: throw .unproven("proof refused: \(error)")
            }
        }
    }

    func agent(named did: String) async throws -> HTTPResponse {
        try AgentAnswer.make(try await registered(did))
    }

    func deregister(_ did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        let proof = try await caller(of: request, being: agent)
        return try await once(request, signature: proof.signature) {
            guard try await store.removeAgent(agent.key.did) else { throw Refusal.missing("agent not found") }
            logger.info("agent deregistered", ["did": agent.did])
            return HTTPResponse(status: 204)
        }
    }
}
