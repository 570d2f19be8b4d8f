import FoundationEssentials

/// One key's word that another one follows it (design decision 3).
///
/// Both keys sign `succession:<old>:<new>:<epoch>:<timestamp>`: the old one gives, the new one takes, so
/// nobody can be named a successor against their will. Certificates do not expire: the epoch orders them.
public struct SuccessionCertificate: Codable, Sendable, Equatable {
    public let oldDID: String
    public let oldKey: PublicKey
    public let newDID: String
    public let newKey: PublicKey
    /// For people; not signed.
    public let reason: String
    /// Epoch of the home record that this succession belongs to.
    public let epoch: UInt64
    public let timestamp: String
    /// By the old key.
    public let signature: String
    /// By the new key.
    public let proof: String

    /// Longest reason in bytes.
    public static let maximumReasonSize = 1024

    /// Signs with both keys. Where they live on two peers, use ``signedText(old:new:epoch:timestamp:)`` and
    /// ``init(oldKey:newKey:reason:epoch:timestamp:signature:proof:)``.
    public static func make(
        old: Identity, new: Identity, reason: String, epoch: UInt64, now: Date
    ) -> SuccessionCertificate {
        let timestamp = MeshTimestamp.format(now)
        let text = signedText(old: old.did.text, new: new.did.text, epoch: epoch, timestamp: timestamp)
        return SuccessionCertificate(
            oldKey: old.publicKey, newKey: new.publicKey, reason: reason, epoch: epoch, timestamp: timestamp,
            signature: old.sign(text), proof: new.sign(text))
    }

    /// Puts together what the two peers signed.
    public init(
        oldKey: PublicKey, newKey: PublicKey, reason: String, epoch: UInt64, timestamp: String,
        signature: [UInt8],
        proof: [UInt8]
    ) {
        oldDID = oldKey.did.text
        self.oldKey = oldKey
        newDID = newKey.did.text
        self.newKey = newKey
        self.reason = reason
        self.epoch = epoch
        self.timestamp = timestamp
        self.signature = Base64.encodeURL(signature)
        self.proof = Base64.encodeURL(proof)
    }

    /// What both keys sign, in UTF-8.
    public static func signedText(old: String, new: String, epoch: UInt64, timestamp: String) -> String {
        "succession:\(old):\(new):\(epoch):\(timestamp)"
    }

    /// Checks names, time format and both signatures.
    public func verify() throws(ProofError) {
        guard try ProofWindow.name(oldDID, field: "old_did").names(oldKey),
            try ProofWindow.name(newDID, field: "new_did").names(newKey), oldKey != newKey
        else { throw .keyMismatch }
        guard MeshTimestamp.parse(timestamp) != nil else { throw .timestampUnreadable }
        guard reason.utf8.count <= Self.maximumReasonSize else { throw .malformed("reason") }
        let text = Array(Self.signedText(old: oldDID, new: newDID, epoch: epoch, timestamp: timestamp).utf8)
        guard oldKey.isValid(signature: try ProofWindow.signature(signature), over: text),
            newKey.isValid(signature: try ProofWindow.signature(proof, field: "proof"), over: text)
        else { throw .badSignature }
    }

    private enum CodingKeys: String, CodingKey {
        case reason, epoch, timestamp, signature, proof
        case oldDID = "old_did"
        case oldKey = "old_key"
        case newDID = "new_did"
        case newKey = "new_key"
    }
}
