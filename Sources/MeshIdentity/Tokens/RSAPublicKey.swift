import COpenSSL

/// An RSA key that verifies RS256: PKCS #1 v1.5 with SHA-256 (RFC 8017), by OpenSSL.
struct RSAPublicKey: Sendable, Equatable {
    /// Bits of the modulus that are taken: fewer are weak, more cost a verifier too much.
    static let bits = 2048...8192

    private let modulus: [UInt8]
    private let exponent: [UInt8]

    /// Big-endian numbers, leading zeros allowed; nil for a size that is refused or an exponent that signs nothing.
    init?(modulus: [UInt8], exponent: [UInt8]) {
        let modulus = Array(modulus.drop { $0 == 0 }), exponent = Array(exponent.drop { $0 == 0 })
        guard let first = modulus.first, let last = modulus.last, !last.isMultiple(of: 2),
            Self.bits.contains(modulus.count * 8 - first.leadingZeroBitCount),
            (1...8).contains(exponent.count), let end = exponent.last, !end.isMultiple(of: 2), exponent != [1]
        else { return nil }
        self.modulus = modulus
        self.exponent = exponent
    }

    /// `EVP_PKEY_PUBLIC_KEY`, a macro that Swift does not see.
    private static let selection =
        OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS | OSSL_KEYMGMT_SELECT_OTHER_PARAMETERS | OSSL_KEYMGMT_SELECT_PUBLIC_KEY

    /// Whether the owner of this key signed `message`.
    func isValid(signature: [UInt8], over message: [UInt8]) -> Bool {
        guard signature.count == modulus.count else { return false }
        let isValid = withKey { key in
            guard let context = EVP_MD_CTX_new() else { return false }
            defer { EVP_MD_CTX_free(context) }
            return EVP_DigestVerifyInit_ex(context, nil, "SHA256", nil, nil, key, nil) == 1
                && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
        }
        // A refused signature leaves an entry in the thread's error queue.
        if !isValid { ERR_clear_error() }
        return isValid
    }

    /// Lends OpenSSL's form, made anew each time: that costs little beside the verification, and a key stays a
    /// value.
    private func withKey(_ body: (OpaquePointer) -> Bool) -> Bool {
        guard let context = EVP_PKEY_CTX_new_from_name(nil, "RSA", nil) else { return false }
        defer { EVP_PKEY_CTX_free(context) }
        // OpenSSL reads numbers of parameters in the machine's byte order.
        var modulus = Self.native(modulus), exponent = Self.native(exponent)
        var key: OpaquePointer?
        let made = modulus.withUnsafeMutableBufferPointer { modulus in
            exponent.withUnsafeMutableBufferPointer { exponent in
                // A parameter keeps the address of its name, so the names live as long as the call.
                "n".withCString { modulusName in
                    "e".withCString { exponentName in
                        var parameters = [
                            OSSL_PARAM_construct_BN(modulusName, modulus.baseAddress, modulus.count),
                            OSSL_PARAM_construct_BN(exponentName, exponent.baseAddress, exponent.count),
                            OSSL_PARAM_construct_end(),
                        ]
                        return EVP_PKEY_fromdata_init(context) == 1
                            && EVP_PKEY_fromdata(context, &key, Self.selection, &parameters) == 1
                    }
                }
            }
        }
        guard made, let key else { return false }
        defer { EVP_PKEY_free(key) }
        return body(key)
    }

    private static func native(_ number: [UInt8]) -> [UInt8] {
        1.littleEndian == 1 ? number.reversed() : number
    }
}
