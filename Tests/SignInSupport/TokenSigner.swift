import COpenSSL
import Foundation
import MeshIdentity

/// An issuer's RSA key: signs real RS256 tokens and publishes its public half.
// @unchecked: the key is made in init, only read after that, and released in deinit.
package final class TokenSigner: @unchecked Sendable {
    private let key: OpaquePointer
    package let id: String

    /// Made once, because two primes take a moment.
    package static let first = TokenSigner(id: "key-1")
    package static let second = TokenSigner(id: "key-2")

    package init(id: String, bits: Int = 2048) {
        self.id = id
        let context = EVP_PKEY_CTX_new_from_name(nil, "RSA", nil)
        defer { EVP_PKEY_CTX_free(context) }
        var key: OpaquePointer?
        precondition(EVP_PKEY_keygen_init(context) == 1)
        var bits = bits
        withUnsafeMutablePointer(to: &bits) { bits in
            "bits".withCString { name in
                var parameters = [OSSL_PARAM_construct_size_t(name, bits), OSSL_PARAM_construct_end()]
                precondition(EVP_PKEY_CTX_set_params(context, &parameters) == 1)
            }
        }
        precondition(EVP_PKEY_generate(context, &key) == 1)
        self.key = key!
    }

    deinit { EVP_PKEY_free(key) }

    /// The member of a key set.
    package func published(id: String? = nil) -> [String: Any] {
        ["kty": "RSA", "use": "sig", "kid": id ?? self.id, "n": number("n"), "e": number("e"), "x5c": ["unused"]]
    }

    /// `{"keys": […]}`
    package static func document(_ keys: [[String: Any]]) -> [UInt8] {
        Array(try! JSONSerialization.data(withJSONObject: ["keys": keys]))
    }

    private func number(_ name: String) -> String {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let size = buffer.withUnsafeMutableBufferPointer { buffer in
            name.withCString { name in
                var parameters = [
                    OSSL_PARAM_construct_BN(name, buffer.baseAddress, buffer.count), OSSL_PARAM_construct_end(),
                ]
                precondition(EVP_PKEY_get_params(key, &parameters) == 1)
                return parameters[0].return_size
            }
        }
        // OpenSSL fills the buffer, in the machine's byte order.
        return Base64.encodeURL(Array(buffer.prefix(size).reversed().drop { $0 == 0 }))
    }

    package func sign(_ message: [UInt8]) -> [UInt8] {
        let context = EVP_MD_CTX_new()
        defer { EVP_MD_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: 1024)
        var size = signature.count
        precondition(EVP_DigestSignInit_ex(context, nil, "SHA256", nil, nil, key, nil) == 1)
        precondition(EVP_DigestSign(context, &signature, &size, message, message.count) == 1)
        return Array(signature.prefix(size))
    }

    /// A signed token in compact form.
    package func token(_ claims: [String: Any], header: [String: Any] = [:]) -> String {
        var fields: [String: Any] = ["alg": "RS256", "typ": "JWT", "kid": id]
        fields.merge(header) { $1 }
        let signed = Self.part(fields) + "." + Self.part(claims)
        return signed + "." + Base64.encodeURL(sign(Array(signed.utf8)))
    }

    package static func part(_ object: [String: Any]) -> String {
        let present = object.filter { !($0.value is NSNull) }
        return Base64.encodeURL(Array(try! JSONSerialization.data(withJSONObject: present)))
    }
}

/// What Entra says of an application of our tenant.
package enum EntraClaims {
    package static let audience = "api://agentmesh"
    package static let tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
    package static let application = "0c0ffee0-0000-4000-8000-000000000001"

    /// `NSNull` leaves a claim out.
    package static func make(_ changes: [String: Any] = [:], now: Date) -> [String: Any] {
        let time = Int(now.timeIntervalSince1970)
        let claims: [String: Any] = [
            "iss": "https://login.microsoftonline.com/\(tenant)/v2.0", "aud": audience, "tid": tenant,
            "azp": application, "exp": time + 3600, "nbf": time - 5, "iat": time - 5, "ver": "2.0",
        ]
        return claims.merging(changes) { $1 }
    }
}
