import COpenSSL

/// HKDF with SHA-256 (RFC 5869) by OpenSSL; libsodium 1.0.18 has none.
enum HKDF {
    // @unchecked: an EVP_KDF is immutable and reference-counted atomically after the fetch (OpenSSL 3
    // EVP_KDF(3)); it lives as long as the process.
    private struct Algorithm: @unchecked Sendable {
        let kdf: OpaquePointer
    }

    /// Fetched once: the look-up by name costs more than the derivation.
    private static let algorithm: Algorithm = {
        guard let kdf = EVP_KDF_fetch(nil, "HKDF", nil) else { preconditionFailure("OpenSSL offers no HKDF") }
        return Algorithm(kdf: kdf)
    }()

    /// Extracts and expands to fill `output`, at most 8,160 bytes. Nothing of salt and key is copied but by OpenSSL,
    /// which wipes its copies.
    static func derive(
        salt: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, label: String,
        into output: UnsafeMutableBufferPointer<UInt8>
    ) {
        precondition(!output.isEmpty && output.count <= 255 * 32, "HKDF makes 1 to 8160 bytes")
        guard let context = EVP_KDF_CTX_new(algorithm.kdf) else { preconditionFailure("no memory for HKDF") }
        defer { EVP_KDF_CTX_free(context) }
        // OpenSSL reads a text parameter as a C string, whatever its size says.
        var digest = Array("SHA256\0".utf8)
        var label = Array(label.utf8)
        let result = digest.withUnsafeMutableBytes { digest in
            label.withUnsafeMutableBytes { label in
                // The parameters' type has no form for constants; OpenSSL only reads these.
                var parameters = [
                    parameter(
                        "digest", UInt32(OSSL_PARAM_UTF8_STRING),
                        UnsafeMutableRawBufferPointer(rebasing: digest.dropLast())),
                    parameter("salt", UInt32(OSSL_PARAM_OCTET_STRING), UnsafeMutableRawBufferPointer(mutating: salt)),
                    parameter("key", UInt32(OSSL_PARAM_OCTET_STRING), UnsafeMutableRawBufferPointer(mutating: key)),
                    parameter("info", UInt32(OSSL_PARAM_OCTET_STRING), label),
                    OSSL_PARAM_construct_end(),
                ]
                return EVP_KDF_derive(context, output.baseAddress, output.count, &parameters)
            }
        }
        precondition(result == 1, "HKDF failed")
    }

    /// As above, into `count` secret bytes.
    static func derive(salt: SecretBytes, key: SecretBytes, label: String, count: Int) -> SecretBytes {
        SecretBytes(pooled: count) { output in
            salt.withUnsafeBytes { salt in
                key.withUnsafeBytes { key in
                    derive(
                        salt: salt, key: key, label: label,
                        into: UnsafeMutableBufferPointer(start: output, count: count))
                }
            }
        }
    }

    /// A parameter keeps the pointer to its name, so the name must be static: OpenSSL's own constants reach
    /// Swift as strings, whose C form ends with the call.
    private static func parameter(
        _ name: StaticString, _ type: UInt32, _ value: UnsafeMutableRawBufferPointer
    ) -> OSSL_PARAM {
        OSSL_PARAM(
            key: UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self), data_type: type,
            data: value.baseAddress, data_size: value.count, return_size: Int.max)
    }
}
