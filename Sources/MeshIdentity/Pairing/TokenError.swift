/// Why a pairing token was refused.
public enum TokenError: Error, Equatable, CustomStringConvertible {
    case notAToken
    case otherVersion
    case unreadable
    /// A field is absent or unusable.
    case field(String)
    /// A token of the public CLI: nothing pins the controller's key.
    case unpinned
    case keyMismatch
    case expired(String)

    public var description: String {
        switch self {
        case .notAToken: "not a pairing token: it begins with azcp_1_"
        case .otherVersion: "pairing token of another version than 1"
        case .unreadable: "pairing token is damaged: copy the whole line"
        case .field(let name): "pairing token has no usable \(name)"
        case .unpinned:
            "pairing token lacks controller_key or expires_at: ask the other side for one made by this release"
        case .keyMismatch: "pairing token names a controller that is not its controller_key"
        case .expired(let time): "pairing token expired on \(time)"
        }
    }
}
