/// Why a bundle, a handshake or a message was refused. The session is then as it was.
public enum SessionError: Error, Equatable, CustomStringConvertible {
    /// A bundle lacks a part, or a part has the wrong length.
    case bundle(String)
    /// The bundle's keys are not those of the DID that was asked for.
    case otherIdentity
    /// The signed prekey's signature is not by the bundle's identity.
    case badPrekeySignature
    /// A Diffie-Hellman output was all zero: somebody sent a small-order point.
    case weakKey
    /// The one-time prekey was used before or never existed.
    case unknownOneTimePrekey(Int)
    /// A responder cannot send before its first receive.
    case notYetReceived
    /// More messages are missing than are waited for.
    case tooManySkipped(Int)
    /// A message that does not authenticate: forged, repeated, or of another session.
    case forged
    /// A message larger than a session carries.
    case tooLarge(Int)
    /// A chain has sent all the messages its counter can count.
    case exhausted
    /// A stored session or prekey store does not read.
    case damaged(String)

    public var description: String {
        switch self {
        case .bundle(let reason): "prekey bundle refused: \(reason)"
        case .otherIdentity: "prekey bundle belongs to another identity"
        case .badPrekeySignature: "prekey bundle's signature does not match"
        case .weakKey: "the peer's key gives no secret"
        case .unknownOneTimePrekey(let id): "one-time prekey \(id) is unknown or was used before"
        case .notYetReceived: "the session cannot send before its first message arrived"
        case .tooManySkipped(let count):
            "\(count) messages are missing, more than \(RatchetSession.maximumSkipped)"
        case .forged: "message does not authenticate"
        case .tooLarge(let size): "message of \(size) bytes exceeds \(RatchetSession.maximumMessageSize)"
        case .exhausted: "the session has sent all the messages it can"
        case .damaged(let reason): "stored session does not read: \(reason)"
        }
    }
}
