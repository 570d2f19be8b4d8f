import FoundationEssentials

/// The header `Authorization: Ed25519-Timestamp <did> <timestamp> <signature>` (AgentMesh wire §7).
public struct TimestampAuthorization: Sendable {
    /// The scheme's name.
    public static let scheme = "Ed25519-Timestamp"
    /// Longest header that is read, in bytes.
    public static let maximumLength = 512

    /// Who asks.
    public let did: DID
    /// As it was sent; the text is what is signed.
    public let timestamp: String
    /// 64 bytes.
    public let signature: [UInt8]

    /// The header's value that proves `identity` at the time `now`.
    public static func header(for identity: Identity, now: Date) -> String {
        let timestamp = MeshTimestamp.format(now)
        return "\(scheme) \(identity.did.text) \(timestamp) \(Base64.encodeURL(identity.sign(timestamp)))"
    }

    /// Reads a header's value; nil when it has another scheme or does not parse.
    public init?(header: String) {
        guard header.utf8.count <= Self.maximumLength else { return nil }
        let parts = header.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 4, parts[0].lowercased() == Self.scheme.lowercased(),
            let did = try? DID(parsing: String(parts[1])),
            let signature = Base64.decode(String(parts[3])), signature.count == PublicKey.signatureSize
        else { return nil }
        self.did = did
        timestamp = String(parts[2])
        self.signature = signature
    }

    /// Checks time, name and signature against the key that is registered under ``did``.
    public func verify(key: PublicKey, now: Date) throws(ProofError) {
        try ProofWindow.check(timestamp, now: now)
        guard did.names(key) else { throw .keyMismatch }
        guard key.isValid(signature: signature, over: Array(timestamp.utf8)) else { throw .badSignature }
    }
}
