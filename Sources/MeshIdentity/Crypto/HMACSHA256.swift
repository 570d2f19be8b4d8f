import CSodium

/// HMAC-SHA-256 (RFC 2104) under a 32-byte key: the chain steps of the ratchet.
enum HMACSHA256 {
    static func authenticate(_ message: [UInt8], key: SecretBytes) -> SecretBytes {
        precondition(key.count == Int(crypto_auth_hmacsha256_KEYBYTES), "HMAC key must have 32 bytes")
        return SecretBytes(pooled: Int(crypto_auth_hmacsha256_BYTES)) { output in
            _ = key.withPointer { crypto_auth_hmacsha256(output, message, UInt64(message.count), $0) }
        }
    }
}
