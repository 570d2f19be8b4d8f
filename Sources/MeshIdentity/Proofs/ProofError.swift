/// Why a proof of possession was refused.
public enum ProofError: Error, Equatable, CustomStringConvertible {
    /// A needed field is absent or empty.
    case missing(String)
    /// A field is not base64, not the right length or too long.
    case malformed(String)
    /// Not ISO 8601 with a zone.
    case timestampUnreadable
    /// Too far from the verifier's clock; seconds, positive when the proof is old.
    case timestampOutOfWindow(Int)
    /// The name is not a name of the key.
    case keyMismatch
    /// The signature is not by the key over the signed text.
    case badSignature

    public var description: String {
        switch self {
        case .missing(let field): "\(field) is missing"
        case .malformed(let field): "\(field) is malformed"
        case .timestampUnreadable: "timestamp is not ISO 8601 with a time zone"
        case .timestampOutOfWindow(let age):
            "timestamp is \(abs(age)) s \(age > 0 ? "old" : "in the future"), more than \(ProofWindow.seconds) s"
        case .keyMismatch: "the DID is not a name of the public key"
        case .badSignature: "signature does not match"
        }
    }
}
