import FoundationEssentials

/// What came of a sign-in for an agent, in the registry's hand: whoever carries it, a browser or a stranger, can make
/// nothing else of it.
public struct SignInResult: Codable, Sendable, Equatable {
    public let success: Bool
    public let amid: String
    public let provider: String
    public let verifiedIdentity: VerifiedPerson?
    /// Why there is none.
    public let error: String?
    /// What the client chose when it asked, so that an older result is not taken for this one.
    public let state: String
    public let timestamp: String
    /// The registry's.
    public let key: PublicKey
    /// Base64url Ed25519 over the JSON of the other fields, keys sorted, in one line; empty before it is signed.
    public private(set) var signature: String

    /// Signs an outcome.
    public static func make(
        amid: String, provider: String, outcome: Result<VerifiedPerson, SignInFailure>, state: String,
        signer: Identity, now: Date
    ) -> SignInResult {
        var person: VerifiedPerson?
        var error: String?
        switch outcome {
        case .success(let found): person = found
        case .failure(let failure): error = failure.description
        }
        var result = SignInResult(
            success: person != nil, amid: amid, provider: provider, verifiedIdentity: person, error: error,
            state: state, timestamp: MeshTimestamp.format(now), key: signer.publicKey, signature: "")
        result.signature = Base64.encodeURL(signer.sign(result.signedBytes))
        return result
    }

    private var signedBytes: [UInt8] {
        var unsigned = self
        unsigned.signature = ""
        return Array("sign-in:".utf8) + JSONCoding.encode(unsigned)
    }

    /// Whether the registry of this key said so to the client that chose `state` for the agent `amid`.
    public func isFrom(_ registry: PublicKey, amid: String, state: String) -> Bool {
        guard key == registry, self.amid == amid, self.state == state, success == (verifiedIdentity != nil),
            signature.utf8.count <= 128, let bytes = Base64.decode(signature)
        else { return false }
        return key.isValid(signature: bytes, over: signedBytes)
    }

    private enum CodingKeys: String, CodingKey {
        case success, amid, provider, error, state, timestamp, signature
        case key = "registry_key"
        case verifiedIdentity = "verified_identity"
    }
}

/// Why a sign-in verified nobody, in words for the person who tried.
public enum SignInFailure: Error, Equatable, CustomStringConvertible {
    /// The provider said no, or the person did.
    case refused(String)
    case providerDown
    /// What the provider answered does not prove anybody.
    case unproven(String)

    public var description: String {
        switch self {
        case .refused(let reason): "the provider refused: \(reason)"
        case .providerDown: "the provider did not answer"
        case .unproven(let reason): "the provider's answer proves nobody: \(reason)"
        }
    }
}
