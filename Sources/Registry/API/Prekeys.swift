import MeshIdentity
import Transport

/// Prekey bundles (AgentMesh wire §3, §7).
extension RegistryAPI {
    private struct UploadAnswer: Encodable {
        let did: String
        let otk_count: Int
    }

    /// Checks what fetching agents will check again, so that a broken bundle is refused while its owner listens.
    func uploadPrekeys(_ did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        let proof = try await caller(of: request, being: agent)
        if let successor = agent.successor {
            throw Refusal.forbidden("this agent was succeeded by \(successor) and gets no new sessions")
        }
        let upload = try body(PrekeyUpload.self, of: request)
        do {
            try upload.verify(for: agent.key)
        } catch {
            throw Refusal.malformed("\(error)")
        }
        guard upload.oneTimePreKeys.count <= limits.maximumOneTimeKeysPerUpload else {
            throw Refusal.malformed("one_time_pre_keys: at most \(limits.maximumOneTimeKeysPerUpload) in one upload")
        }
        return try await once(request, signature: proof.signature) {
            let unused = try await store.upload(upload, of: agent.key.did, keeping: limits.maximumOneTimeKeysKept)
            guard let unused else { throw Refusal.missing("agent not found") }
            return .json(UploadAnswer(did: agent.did, otk_count: unused))
        }
    }

    func fetchPrekeys(_ did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        guard agent.revocation == nil else { throw Refusal.missing("this agent's key is revoked") }
        // No replay check: a copied header lets its holder take what the rate below allows.
        if policy.requiresPrekeyAuthorization { _ = try await caller(of: request) }
        if let successor = agent.successor {
            throw Refusal.missing("this agent was succeeded by \(successor)")
        }
        let mayConsume = prekeyRates.take(
            "\(AddressKey.make(request.remoteAddress)) \(agent.did)", now: now())
        if !mayConsume { counts.prekeysWithheld.add() }
        guard let bundle = try await store.takePrekeys(of: agent.key.did, consuming: mayConsume) else {
            throw Refusal.missing("this agent has uploaded no prekeys")
        }
        counts.bundlesServed.add()
        if bundle.oneTimePreKey != nil { counts.oneTimePrekeysServed.add() }
        return .json(bundle)
    }
}
