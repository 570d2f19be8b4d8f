import COpenSSL

/// HKDF with SHA-256 (RFC 5869) by OpenSSL; libsodium 1.0.18 has none.
public enum HKDF {
    // @unchecked: an EVP_KDF is immutable and reference-counted atomically after the fetch (OpenSSL 3 EVP_KDF(3));
    // it lives as long as the process.
    private struct Algorithm: @unchecked Sendable {
        let kdf: OpaquePointer
    }

    /// Fetched once: the look-up by name costs more than the derivation.
    private static let algorithm: Algorithm = {
        guard let kdf = EVP_KDF_fetch(nil, "HKDF", nil) else { preconditionFailure("OpenSSL offers no HKDF") }
        return Algorithm(kdf: kdf)
    }()

    /// Extracts and expands to `count` bytes, at most 8,160.
    public static func derive(salt: [UInt8], key: [UInt8], label: String, count: Int) -> [UInt8] {
        precondition(count > 0 && count <= 255 * 32, "HKDF makes 1 to 8160 bytes")
        guard let context = EVP_KDF_CTX_new(algorithm.kdf) else { preconditionFailure("no memory for HKDF") }
        defer { EVP_KDF_CTX_free(context) }
        var digest = Array("SHA256".utf8CString)
        var salt = salt
        var key = key
        var label = Array(label.utf8)
        defer { key.wipe() }
        var output = [UInt8](repeating: 0, count: count)
        let result = digest.withUnsafeMutableBufferPointer { digest in
            salt.withUnsafeMutableBytes { salt in
                key.withUnsafeMutableBytes { key in
                    label.withUnsafeMutableBytes { label in
                        var parameters = [
                            OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.baseAddress, 0),
                            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt.baseAddress, salt.count),
                            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.baseAddress, key.count),
                            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label.baseAddress, label.count),
                            OSSL_PARAM_construct_end(),
                        ]
                        return EVP_KDF_derive(context, &output, count, &parameters)
                    }
                }
            }
        }
        precondition(result == 1, "HKDF failed")
        return output
    }
}
