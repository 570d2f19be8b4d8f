import MeshIdentity
import Transport

/// Prekey bundles (AgentMesh wire §3, §7).
extension RegistryAPI {
    func uploadPrekeys(_ did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        let proof = try await caller(of: request, being: agent)
        if let successor = agent.successor {
            throw Refusal.forbidden("this agent was succeeded by \(successor) and gets no new sessions")
        }
        let upload = try body(PrekeyUploadBody.self, of: request)
        let (prekeys, oneTime) = try upload.checked(for: agent.key, limits: limits)
        return try await once(request, signature: proof.signature) {
            let unused = try await store.upload(
                prekeys, oneTime: oneTime, of: agent.key.did, keeping: limits.maximumOneTimeKeysKept)
            guard let unused else { throw Refusal.missing("agent not found") }
            return .json(UploadAnswer(did: agent.did, otk_count: unused))
        }
    }

    private struct UploadAnswer: Encodable {
        let did: String
        let otk_count: Int
    }

    func fetchPrekeys(_ did: String, _ request: HTTPRequest) async throws -> HTTPResponse {
        let agent = try await registered(did)
        if let successor = agent.successor {
            throw Refusal.missing("this agent was succeeded by \(successor)")
        }
        let mayConsume = prekeyRates.take(
            "\(AddressKey.make(request.remoteAddress)) \(agent.did)", now: now())
        if !mayConsume { counts.prekeysWithheld.add() }
        guard let (prekeys, oneTime) = try await store.takePrekeys(of: agent.key.did, consuming: mayConsume) else {
            throw Refusal.missing("this agent has uploaded no prekeys")
        }
        counts.bundlesServed.add()
        if oneTime != nil { counts.oneTimePrekeysServed.add() }
        return .json(PrekeyAnswer(agent: agent.key, prekeys: prekeys, oneTime: oneTime))
    }
}

/// Body of `PUT /v1/agents/{did}/prekeys`.
struct PrekeyUploadBody: Decodable {
    struct Prekey: Decodable {
        let key_id: Int64
        let public_key: String
        let signature: String?
    }

    let identity_key: String
    let identity_key_ed: String
    let signed_pre_key: Prekey
    let one_time_pre_keys: [Prekey]?

    /// Largest key id: what a JavaScript number holds exactly.
    static let maximumID: Int64 = 1 << 53

    /// Decodes and checks what fetching agents will check again, so that a broken bundle is refused while its owner
    /// listens.
    func checked(
        for key: PublicKey, limits: RegistryLimits
    ) throws(Refusal) -> (StoredPrekeys, [OneTimePrekey]) {
        guard try bytes(identity_key_ed, "identity_key_ed", count: PublicKey.size) == key.bytes else {
            throw .malformed("identity_key_ed is not the agent's key")
        }
        let identityKey = try bytes(identity_key, "identity_key", count: 32)
        guard let image = try? key.x25519(), identityKey == image else {
            throw .malformed("identity_key is not the X25519 form of identity_key_ed")
        }
        let signedKey = try bytes(signed_pre_key.public_key, "signed_pre_key.public_key", count: 32)
        let signature = try bytes(
            signed_pre_key.signature ?? "", "signed_pre_key.signature", count: PublicKey.signatureSize)
        guard key.isValid(signature: signature, over: signedKey) else {
            throw .malformed("signed_pre_key.signature is not by identity_key_ed over the signed prekey")
        }
        let sent = one_time_pre_keys ?? []
        guard sent.count <= limits.maximumOneTimeKeysPerUpload else {
            throw .malformed("one_time_pre_keys: at most \(limits.maximumOneTimeKeysPerUpload) in one upload")
        }
        var oneTime: [OneTimePrekey] = []
        for prekey in sent {
            oneTime.append(
                OneTimePrekey(
                    id: try id(prekey, "one_time_pre_keys.key_id"),
                    publicKey: try bytes(prekey.public_key, "one_time_pre_keys.public_key", count: 32)))
        }
        guard Set(oneTime.map(\.id)).count == oneTime.count else {
            throw .malformed("one_time_pre_keys: a key_id occurs twice")
        }
        let prekeys = StoredPrekeys(
            identityKey: identityKey, signedID: try id(signed_pre_key, "signed_pre_key.key_id"),
            signedKey: signedKey, signature: signature)
        return (prekeys, oneTime)
    }

    private func id(_ prekey: Prekey, _ name: String) throws(Refusal) -> Int64 {
        guard (0...Self.maximumID).contains(prekey.key_id) else {
            throw .malformed("\(name) is a number from 0 to \(Self.maximumID)")
        }
        return prekey.key_id
    }

    private func bytes(_ text: String, _ name: String, count: Int) throws(Refusal) -> [UInt8] {
        guard text.utf8.count <= 2 * count + 4, let bytes = Base64.decode(text), bytes.count == count else {
            throw .malformed("\(name) is base64 of exactly \(count) bytes")
        }
        return bytes
    }
}

/// Answer of `GET /v1/agents/{did}/prekeys`; `one_time_pre_key` is `null` when there is none.
struct PrekeyAnswer: Encodable {
    private struct Signed: Encodable {
        let key_id: Int64
        let public_key: String
        let signature: String
    }

    private struct OneTime: Encodable {
        let key_id: Int64
        let public_key: String
    }

    private enum CodingKeys: String, CodingKey {
        case identity_key, identity_key_ed, signed_pre_key, one_time_pre_key
    }

    let agent: PublicKey
    let prekeys: StoredPrekeys
    let oneTime: OneTimePrekey?

    func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(Base64.encodeURL(prekeys.identityKey), forKey: .identity_key)
        try fields.encode(agent, forKey: .identity_key_ed)
        try fields.encode(
            Signed(
                key_id: prekeys.signedID, public_key: Base64.encodeURL(prekeys.signedKey),
                signature: Base64.encodeURL(prekeys.signature)), forKey: .signed_pre_key)
        try fields.encode(
            oneTime.map { OneTime(key_id: $0.id, public_key: Base64.encodeURL($0.publicKey)) },
            forKey: .one_time_pre_key)
    }
}
