import CSodium

/// HMAC-SHA-256 (RFC 2104) under a 32-byte key: the chain steps of the ratchet.
enum HMACSHA256 {
    static func authenticate(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        precondition(key.count == Int(crypto_auth_hmacsha256_KEYBYTES), "HMAC key must have 32 bytes")
        return [UInt8](unsafeUninitializedCapacity: Int(crypto_auth_hmacsha256_BYTES)) { output, count in
            crypto_auth_hmacsha256(output.baseAddress!, message, UInt64(message.count), key)
            count = Int(crypto_auth_hmacsha256_BYTES)
        }
    }
}
