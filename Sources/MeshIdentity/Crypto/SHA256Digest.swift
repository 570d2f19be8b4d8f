import CSodium

/// SHA-256 (FIPS 180-4).
public enum SHA256Digest {
    /// The 32-byte digest.
    public static func hash(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(crypto_hash_sha256_BYTES)) { output, count in
            crypto_hash_sha256(output.baseAddress!, bytes, UInt64(bytes.count))
            count = Int(crypto_hash_sha256_BYTES)
        }
    }
}
