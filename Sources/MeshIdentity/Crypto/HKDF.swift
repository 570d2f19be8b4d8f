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

    /// Extracts and expands to `count` bytes, at most 8,160.
    static func derive(salt: [UInt8], key: [UInt8], label: String, count: Int) -> [UInt8] {
        precondition(count > 0 && count <= 255 * 32, "HKDF makes 1 to 8160 bytes")
        guard let context = EVP_KDF_CTX_new(algorithm.kdf) else { preconditionFailure("no memory for HKDF") }
        defer { EVP_KDF_CTX_free(context) }
        // OpenSSL reads a text parameter as a C string, whatever its size says.
        var digest = Array("SHA256\0".utf8)
        var salt = salt
        var key = key
        var label = Array(label.utf8)
        defer { key.wipe() }
        var output = [UInt8](repeating: 0, count: count)
        let result = digest.withUnsafeMutableBytes { digest in
            salt.withUnsafeMutableBytes { salt in
                key.withUnsafeMutableBytes { key in
                    label.withUnsafeMutableBytes { label in
                        var parameters = [
                            parameter(
                                "digest", UInt32(OSSL_PARAM_UTF8_STRING),
                                UnsafeMutableRawBufferPointer(rebasing: digest.dropLast())),
                            parameter("salt", UInt32(OSSL_PARAM_OCTET_STRING), salt),
                            parameter("key", UInt32(OSSL_PARAM_OCTET_STRING), key),
                            parameter("info", UInt32(OSSL_PARAM_OCTET_STRING), label),
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
