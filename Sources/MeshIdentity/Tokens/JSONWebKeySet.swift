import FoundationEssentials

/// The signing keys that an issuer publishes (RFC 7517): those that verify RS256, by id.
struct JSONWebKeySet: Sendable, Equatable {
    /// Longest document that is read, in bytes.
    static let maximumSize = 256 << 10
    /// Most keys kept; issuers publish a handful.
    static let maximumKeys = 64
    static let maximumKeyIDBytes = 256

    let keys: [String: RSAPublicKey]

    private struct Document: Decodable {
        let keys: [Key]
    }

    /// Other kinds of keys have other members, so all are optional.
    private struct Key: Decodable {
        let kty: String?
        let kid: String?
        let use: String?
        let alg: String?
        let n: String?
        let e: String?

        var usable: (id: String, key: RSAPublicKey)? {
            guard kty == "RSA", use == nil || use == "sig", alg == nil || alg == "RS256",
                let kid, (1...JSONWebKeySet.maximumKeyIDBytes).contains(kid.utf8.count),
                let n, let e, n.utf8.count <= 2048, e.utf8.count <= 16,
                let modulus = Base64.decode(n), let exponent = Base64.decode(e),
                let key = RSAPublicKey(modulus: modulus, exponent: exponent)
            else { return nil }
            return (kid, key)
        }
    }

    /// Reads a document; keys that cannot verify RS256 are passed over, a document without any is refused.
    init(parsing bytes: [UInt8]) throws(AccessTokenError) {
        guard bytes.count <= Self.maximumSize else {
            throw .keysUnavailable("the key document exceeds \(Self.maximumSize) bytes")
        }
        let document: Document
        do {
            document = try JSONCoding.decode(Document.self, from: bytes)
        } catch {
            throw .keysUnavailable("the key document is unreadable: \(JSONCoding.reason(of: error))")
        }
        guard document.keys.count <= Self.maximumKeys else {
            throw .keysUnavailable("the key document holds more than \(Self.maximumKeys) keys")
        }
        // Of two keys with one id the first counts.
        keys = Dictionary(document.keys.compactMap(\.usable).map { ($0.id, $0.key) }) { first, _ in first }
        guard !keys.isEmpty else { throw .keysUnavailable("the key document holds no key for RS256") }
    }
}
