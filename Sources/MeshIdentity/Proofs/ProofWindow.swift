import FoundationEssentials

/// How far a proof's time may be from the verifier's clock (AgentMesh wire §5, §7).
public enum ProofWindow {
    /// Either way, in seconds.
    public static let seconds = 300

    static func check(_ timestamp: String, now: Date) throws(ProofError) {
        guard let time = MeshTimestamp.parse(timestamp) else { throw .timestampUnreadable }
        let age = now.timeIntervalSince(time)
        guard abs(age) <= Double(seconds) else {
            throw .timestampOutOfWindow(Int(age.rounded(.awayFromZero)))
        }
    }

    static func signature(_ text: String, field: String = "signature") throws(ProofError) -> [UInt8] {
        guard !text.isEmpty else { throw .missing(field) }
        guard text.utf8.count <= 128, let bytes = Base64.decode(text), bytes.count == PublicKey.signatureSize
        else {
            throw .malformed(field)
        }
        return bytes
    }

    static func key(_ text: String, field: String = "public_key") throws(ProofError) -> PublicKey {
        guard !text.isEmpty else { throw .missing(field) }
        guard let key = try? PublicKey(base64: text) else { throw .malformed(field) }
        return key
    }

    static func name(_ text: String, field: String) throws(ProofError) -> DID {
        guard !text.isEmpty else { throw .missing(field) }
        guard let did = try? DID(parsing: text) else { throw .malformed(field) }
        return did
    }
}
