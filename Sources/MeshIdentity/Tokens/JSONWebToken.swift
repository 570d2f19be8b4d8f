import FoundationEssentials

/// A signed token in compact form (RFC 7519, RFC 7515): read, its signature not yet checked.
struct JSONWebToken: Sendable {
    /// Longest token that is read, in bytes (AgentMesh wire §5).
    static let maximumSize = 16_384

    private struct Header: Decodable {
        let alg: String
        let kid: String?
        /// Extensions that a reader must understand; we know none.
        let crit: [String]?
    }

    /// The claims that anybody here asks for.
    struct Claims: Decodable, Sendable {
        let issuer: String?
        let audiences: [String]
        let tenant: String?
        /// Of the application that asked: `azp` in tokens of version 2, `appid` in those of version 1.
        let application: String?
        /// Seconds since 1970.
        let expiresAt: Double?
        let notBefore: Double?
        /// Of the person who signed in: `oid`, the same for all applications, else `sub`.
        let subject: String?
        let username: String?
        let email: String?
        /// What the one who asked for the token wanted to find in it.
        let nonce: String?

        private enum CodingKeys: String, CodingKey {
            case iss, aud, tid, azp, appid, exp, nbf, oid, sub, email, nonce
            case username = "preferred_username"
        }

        init(from decoder: any Decoder) throws {
            let claims = try decoder.container(keyedBy: CodingKeys.self)
            issuer = try claims.decodeIfPresent(String.self, forKey: .iss)
            if let one = try? claims.decode(String.self, forKey: .aud) {
                audiences = [one]
            } else {
                audiences = try claims.decodeIfPresent([String].self, forKey: .aud) ?? []
            }
            tenant = try claims.decodeIfPresent(String.self, forKey: .tid)
            application =
                try claims.decodeIfPresent(String.self, forKey: .azp)
                ?? claims.decodeIfPresent(String.self, forKey: .appid)
            expiresAt = try claims.decodeIfPresent(Double.self, forKey: .exp)
            notBefore = try claims.decodeIfPresent(Double.self, forKey: .nbf)
            subject =
                try claims.decodeIfPresent(String.self, forKey: .oid)
                ?? claims.decodeIfPresent(String.self, forKey: .sub)
            username = try claims.decodeIfPresent(String.self, forKey: .username)
            email = try claims.decodeIfPresent(String.self, forKey: .email)
            nonce = try claims.decodeIfPresent(String.self, forKey: .nonce)
        }
    }

    let keyID: String
    let claims: Claims
    private let signedPart: [UInt8]
    private let signature: [UInt8]

    /// Reads a token; only RS256 with a key id passes.
    init(parsing text: String) throws(AccessTokenError) {
        guard text.utf8.count <= Self.maximumSize else {
            throw .tooLong(text.utf8.count, limit: Self.maximumSize)
        }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("not three parts") }
        let header: Header = try Self.json(parts[0], "header")
        guard header.alg == "RS256" else { throw .algorithm }
        guard header.crit == nil else { throw .malformed("unknown critical header") }
        guard let keyID = header.kid, (1...JSONWebKeySet.maximumKeyIDBytes).contains(keyID.utf8.count) else {
            throw .missing("kid")
        }
        self.keyID = keyID
        claims = try Self.json(parts[1], "claims")
        signature = try Self.bytes(parts[2], "signature")
        signedPart = Array(text.utf8.prefix(parts[0].count + 1 + parts[1].count))
    }

    func isSigned(by key: RSAPublicKey) -> Bool { key.isValid(signature: signature, over: signedPart) }

    private static func json<Value: Decodable>(
        _ part: Substring.UTF8View, _ name: String
    ) throws(AccessTokenError) -> Value {
        let bytes = try bytes(part, name)
        do {
            return try JSONCoding.decode(Value.self, from: bytes)
        } catch {
            throw .malformed("\(name): \(JSONCoding.reason(of: error))")
        }
    }

    private static func bytes(_ part: Substring.UTF8View, _ name: String) throws(AccessTokenError) -> [UInt8] {
        // The unpadded alphabet alone, so that a signed text has one spelling.
        let isURL = part.allSatisfy { $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "=") }
        guard isURL, !part.isEmpty, let bytes = Base64.decode(String(Substring(part))) else {
            throw .malformed("\(name) is not base64url")
        }
        return bytes
    }
}
