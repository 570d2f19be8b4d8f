import FoundationEssentials

/// A key's last word: that nobody is to trust it any more.
///
/// The key itself signs `revocation:<did>:<reason>:<timestamp>`, so its owner can make the certificate ahead and
/// keep it where the key is not. It does not expire and cannot be taken back.
public struct RevocationCertificate: Codable, Sendable, Equatable {
    /// `did:mesh:` of the key.
    public let did: String
    public let publicKey: PublicKey
    public let reason: String
    public let timestamp: String
    /// Base64url.
    public let signature: String

    /// Longest reason in bytes.
    public static let maximumReasonSize = 256

    /// Revokes `identity`.
    public static func make(
        identity: Identity, reason: String, now: Date
    ) throws(ProofError) -> RevocationCertificate {
        guard isReason(reason) else { throw .malformed("reason") }
        let timestamp = MeshTimestamp.format(now)
        let text = signedText(did: identity.did.text, reason: reason, timestamp: timestamp)
        return RevocationCertificate(
            did: identity.did.text, publicKey: identity.publicKey, reason: reason, timestamp: timestamp,
            signature: Base64.encodeURL(identity.sign(text)))
    }

    /// Checks name, reason, time format and signature, and that it is not from the future.
    public func verify(now: Date) throws(ProofError) {
        guard did == publicKey.did.canonical else { throw .keyMismatch }
        guard Self.isReason(reason) else { throw .malformed("reason") }
        guard timestamp.utf8.count <= FrameLimits.timestamp, let time = MeshTimestamp.parse(timestamp) else {
            throw .timestampUnreadable
        }
        let ahead = time.timeIntervalSince(now)
        guard ahead <= Double(ProofWindow.seconds) else { throw .timestampOutOfWindow(-Int(ahead.rounded(.up))) }
        let text = Self.signedText(did: did, reason: reason, timestamp: timestamp)
        guard publicKey.isValid(signature: try ProofWindow.signature(signature), over: Array(text.utf8)) else {
            throw .badSignature
        }
    }

    /// The name has one form and no end of a time is a time itself, so the text reads in one way only.
    private static func signedText(did: String, reason: String, timestamp: String) -> String {
        "revocation:\(did):\(reason):\(timestamp)"
    }

    /// Printable and bounded, because operators read it.
    private static func isReason(_ text: String) -> Bool {
        text.utf8.count <= maximumReasonSize
            && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    }

    private enum CodingKeys: String, CodingKey {
        case did, reason, timestamp, signature
        case publicKey = "public_key"
    }
}
