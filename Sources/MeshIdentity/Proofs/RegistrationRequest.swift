import FoundationEssentials

/// Body of `POST /v1/agents` (AgentMesh wire §7).
///
/// Absent proof fields read as empty, so that the registry can say what is missing; ``verify(now:)`` refuses
/// them.
public struct RegistrationRequest: Codable, Sendable {
    /// Base64url.
    public var publicKey: String
    /// Base64url Ed25519 over the text public_key ‖ proof_timestamp.
    public var proof: String
    public var proofTimestamp: String
    /// Sent for older servers, ignored by ours.
    public var did: String?
    public var capabilities: [String]
    public var metadata: [String: String]

    /// Most capabilities and most metadata entries.
    public static let maximumEntries = 64
    /// Longest capability, metadata name and metadata value, in bytes.
    public static let maximumTextSize = 1024

    /// Proves `identity` at the time `now`.
    public static func make(
        identity: Identity, capabilities: [String] = [], metadata: [String: String] = [:], now: Date
    ) -> RegistrationRequest {
        let key = identity.publicKey.base64URL
        let timestamp = MeshTimestamp.format(now)
        return RegistrationRequest(
            publicKey: key, proof: Base64.encodeURL(identity.sign(key + timestamp)),
            proofTimestamp: timestamp,
            did: identity.did.text, capabilities: capabilities, metadata: metadata)
    }

    /// Reads a body of at most 256 KiB.
    public static func decode(_ bytes: [UInt8]) throws(FrameError) -> RegistrationRequest {
        guard bytes.count <= 262_144 else { throw .tooLarge(bytes.count, limit: 262_144) }
        do {
            return try JSONCoding.decode(RegistrationRequest.self, from: bytes)
        } catch {
            throw .malformed(JSONCoding.reason(of: error))
        }
    }

    /// The body as it is sent.
    public func encode() -> [UInt8] { JSONCoding.encode(self) }

    /// The proven key.
    public func verify(now: Date) throws(ProofError) -> PublicKey {
        let key = try ProofWindow.key(publicKey)
        guard !proofTimestamp.isEmpty else { throw .missing("proof_timestamp") }
        let signature = try ProofWindow.signature(proof, field: "proof")
        try ProofWindow.check(proofTimestamp, now: now)
        guard capabilities.count <= Self.maximumEntries,
            !capabilities.contains(where: { $0.utf8.count > Self.maximumTextSize })
        else { throw .malformed("capabilities") }
        guard metadata.count <= Self.maximumEntries,
            !metadata.contains(where: {
                $0.key.utf8.count > Self.maximumTextSize || $0.value.utf8.count > Self.maximumTextSize
            })
        else { throw .malformed("metadata") }
        guard key.isValid(signature: signature, over: Array((publicKey + proofTimestamp).utf8)) else {
            throw .badSignature
        }
        return key
    }

    private enum CodingKeys: String, CodingKey {
        case proof, did, capabilities, metadata
        case publicKey = "public_key"
        case proofTimestamp = "proof_timestamp"
    }

    init(
        publicKey: String, proof: String, proofTimestamp: String, did: String?, capabilities: [String],
        metadata: [String: String]
    ) {
        self.publicKey = publicKey
        self.proof = proof
        self.proofTimestamp = proofTimestamp
        self.did = did
        self.capabilities = capabilities
        self.metadata = metadata
    }

    public init(from decoder: any Decoder) throws {
        let body = try decoder.container(keyedBy: CodingKeys.self)
        publicKey = try body.decodeTextIfPresent(.publicKey, limit: 256) ?? ""
        proof = try body.decodeTextIfPresent(.proof, limit: 256) ?? ""
        proofTimestamp = try body.decodeTextIfPresent(.proofTimestamp, limit: 256) ?? ""
        did = try body.decodeTextIfPresent(.did, limit: 256)
        capabilities = try body.decodeIfPresent([String].self, forKey: .capabilities) ?? []
        metadata = try body.decodeIfPresent([String: String].self, forKey: .metadata) ?? [:]
    }
}
