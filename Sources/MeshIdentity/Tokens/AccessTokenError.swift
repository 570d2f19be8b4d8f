/// Why an access token was refused. None of the texts holds a piece of the token.
public enum AccessTokenError: Error, Equatable, CustomStringConvertible {
    case tooLong(Int, limit: Int)
    /// Not three base64url parts with JSON in the first two.
    case malformed(String)
    /// Anything but RS256; `none` and the symmetric ones let a stranger sign.
    case algorithm
    /// No signing key of this id, also not after the keys were fetched anew.
    case unknownKey
    case badSignature
    case expired
    case notYetValid
    case wrongIssuer
    case wrongAudience
    case wrongTenant
    /// A claim that must be there.
    case missing(String)
    /// The signing keys cannot be had, so that nothing can be verified; not the token's fault.
    case keysUnavailable(String)

    public var description: String {
        switch self {
        case .tooLong(let size, let limit): "token of \(size) bytes exceeds \(limit)"
        case .malformed(let reason): "token is malformed: \(reason)"
        case .algorithm: "token is not signed with RS256"
        case .unknownKey: "token was signed by a key that its issuer does not publish"
        case .badSignature: "token's signature is wrong"
        case .expired: "token has expired"
        case .notYetValid: "token is not valid yet"
        case .wrongIssuer: "token is from another issuer"
        case .wrongAudience: "token is for another audience"
        case .wrongTenant: "token is of another tenant"
        case .missing(let claim): "token has no usable \(claim)"
        case .keysUnavailable(let reason): "the issuer's signing keys cannot be had: \(reason)"
        }
    }
}
